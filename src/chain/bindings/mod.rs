//! The contract interfaces Groat calls, as their own standards print them.

mod batch;
mod errors;
mod permit2;
mod settler;
mod stream;
mod token;

pub use batch::{ChannelConfig, IBatchSettlement, IDepositCollector, Voucher, VoucherClaim};
pub(super) use errors::error_name;
pub use permit2::{
    Eip2612Permit, ExactWitness, IExactPermit2Proxy, IPermit2, IUptoPermit2Proxy,
    PermitTransferFrom, TokenPermissions, UptoWitness,
};
pub use settler::ISettler;
pub use stream::IStreamChannel;
pub use token::{ERC1271_MAGIC, IEip2612, IEip3009Token, IErc20, IErc1271, IStandIn};
