//! Without the feature `tempo` nobody can judge what its payers sign, so it is never offered.

use super::session::Read;
use super::stored::Stored;
use crate::config::Config;
use crate::payment::authorized::AuthorizeFailure;
use crate::protocol::mpp::Refused;
use crate::protocol::mpp::tempo::Signed;
use alloy::primitives::Address;

/// There is none.
#[derive(Debug)]
pub(super) enum Judge {}

impl Judge {
    pub(super) const fn of(_config: &Config) -> Option<Self> {
        None
    }

    pub(super) const fn pays_gas(&self) -> bool {
        match *self {}
    }

    pub(super) const fn sender(&self, _transaction: &[u8]) -> Result<Address, Refused> {
        match *self {}
    }

    pub(super) const fn read(&self, _transaction: &[u8]) -> Result<Read, Refused> {
        match *self {}
    }

    pub(super) const fn stored(
        &self,
        _transaction: &[u8],
        _to: (Address, Address),
    ) -> Result<Stored, Refused> {
        match *self {}
    }

    pub(super) async fn validate(&self, _signed: &Signed) -> Result<(), AuthorizeFailure> {
        match *self {}
    }
}
