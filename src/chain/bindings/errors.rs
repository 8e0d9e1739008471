//! The names of the contracts' own errors: clients and log lines want words, not selectors.

use super::{
    IBatchSettlement, IDepositCollector, IExactPermit2Proxy, IPermit2, ISettler, IUptoPermit2Proxy,
};

type Names = fn([u8; 4]) -> Option<&'static str>;

const KNOWN: [Names; 6] = [
    IPermit2::IPermit2Errors::name_by_selector,
    IExactPermit2Proxy::IExactPermit2ProxyErrors::name_by_selector,
    IUptoPermit2Proxy::IUptoPermit2ProxyErrors::name_by_selector,
    IBatchSettlement::IBatchSettlementErrors::name_by_selector,
    IDepositCollector::IDepositCollectorErrors::name_by_selector,
    ISettler::ISettlerErrors::name_by_selector,
];

/// The name of a known contract error, by the first four bytes of a revert's data.
pub(in crate::chain) fn error_name(selector: [u8; 4]) -> Option<&'static str> {
    KNOWN.iter().find_map(|name| name(selector))
}
