//! Which permit of Permit2's a call spends; purely.

use crate::chain::bindings::{
    IBatchSettlement, IExactPermit2Proxy, IPermit2, IUptoPermit2Proxy, PermitTransferFrom,
};
use alloy::primitives::{Address, Bytes, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::{SolCall, SolEvent, SolValue};

/// What a deposit by Permit2 carries: nonce, deadline, signature, EIP-2612 permit.
type CollectorData = (U256, U256, Bytes, Bytes);

/// A permit that a call spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    owner: Address,
    nonce: U256,
    /// Who brings a deposit in; none for a payment.
    collector: Option<Address>,
}

/// The permit that a call of a proxy, or a deposit into a channel by Permit2, spends.
pub(super) fn spent_by(calldata: &[u8]) -> Option<Spent> {
    let payment = |owner: Address, permit: &PermitTransferFrom| {
        Some(Spent {
            owner,
            nonce: permit.nonce,
            collector: None,
        })
    };
    match *calldata.first_chunk::<4>()? {
        IExactPermit2Proxy::settleCall::SELECTOR => {
            let call = IExactPermit2Proxy::settleCall::abi_decode(calldata).ok()?;
            payment(call.owner, &call.permit)
        }
        IExactPermit2Proxy::settleWithPermitCall::SELECTOR => {
            let call = IExactPermit2Proxy::settleWithPermitCall::abi_decode(calldata).ok()?;
            payment(call.owner, &call.permit)
        }
        IUptoPermit2Proxy::settleCall::SELECTOR => {
            let call = IUptoPermit2Proxy::settleCall::abi_decode(calldata).ok()?;
            payment(call.owner, &call.permit)
        }
        IUptoPermit2Proxy::settleWithPermitCall::SELECTOR => {
            let call = IUptoPermit2Proxy::settleWithPermitCall::abi_decode(calldata).ok()?;
            payment(call.owner, &call.permit)
        }
        IBatchSettlement::depositCall::SELECTOR => {
            let call = IBatchSettlement::depositCall::abi_decode(calldata).ok()?;
            let (nonce, ..) = CollectorData::abi_decode_params(&call.collectorData).ok()?;
            Some(Spent {
                owner: call.config.payer,
                nonce,
                collector: Some(call.collector),
            })
        }
        _ => None,
    }
}

/// Whether a log of Permit2's says that its owner withdrew this nonce.
pub(super) fn is_withdrawn(log: &Log, nonce: U256) -> bool {
    IPermit2::UnorderedNonceInvalidation::decode_log(&log.inner)
        .is_ok_and(|event| event.word == nonce >> 8 && event.mask.bit(usize::from(nonce.byte(0))))
}
