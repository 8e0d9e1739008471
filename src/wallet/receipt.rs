//! Holds a receipt against what was bought.

use crate::money::Units;
use crate::protocol::Network;
use crate::protocol::receipt::{Hash, Receipt, verify};
use alloy::primitives::Address;

/// What a receipt must be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// Who paid.
    pub payer: Address,
    /// Who was paid.
    pub payee: Address,
    /// The chain.
    pub network: Network,
    /// The token contract.
    pub asset: Address,
    /// The model asked for.
    pub model: String,
    /// SHA-256 of the request's body.
    pub request: Hash,
    /// What was signed for: the most it may charge.
    pub amount: Units,
    /// The call's id, where the answer told it.
    pub call: Option<String>,
}

/// What is wrong with a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the receipt does not hold: {}", .0.join("; "))]
pub struct Fault(pub Vec<String>);

/// Checks a receipt: its signature and every sum in it, that it is of this purchase, within what
/// was signed for, and by the signer that this gateway had so far.
pub(super) fn check(
    text: &str,
    bought: &Bought,
    signer: Option<Address>,
) -> Result<Receipt, Fault> {
    let verified =
        verify(text).map_err(|faults| Fault(faults.iter().map(ToString::to_string).collect()))?;
    let receipt = verified.receipt;
    let body = &receipt.body;
    let mut faults = Vec::new();
    let mut hold = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    hold(body.payer == bought.payer, "it is another payer's");
    hold(body.network == bought.network, "it is of another chain");
    hold(body.asset == bought.asset, "it is of another asset");
    hold(body.model == bought.model, "it is of another model");
    hold(
        body.request_sha256 == bought.request,
        "it is of another request",
    );
    hold(
        body.charged <= bought.amount,
        "it charges more than was signed for",
    );
    hold(
        bought.call.as_ref().is_none_or(|call| *call == body.call),
        "it is of another call",
    );
    if let Some(before) = signer.filter(|before| *before != receipt.signer) {
        faults.push(format!(
            "it is signed by {}, but this gateway's receipts were signed by {before} so far (--accept-payee takes the new one)",
            receipt.signer
        ));
    }
    if faults.is_empty() {
        Ok(receipt)
    } else {
        Err(Fault(faults))
    }
}

/// Checks the receipt of an answer that came unasked for a payment: it holds, and charges nothing for
/// this request.
pub(super) fn check_unpaid(text: &str, model: &str, request: Hash) -> Result<Receipt, Fault> {
    let verified =
        verify(text).map_err(|faults| Fault(faults.iter().map(ToString::to_string).collect()))?;
    let body = &verified.receipt.body;
    let holds = [
        (body.model == model, "it is of another model"),
        (body.request_sha256 == request, "it is of another request"),
        (body.charged.is_zero(), "it charges what nobody signed for"),
    ];
    let faults: Vec<String> = holds
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, fault)| (*fault).to_owned())
        .collect();
    match faults.is_empty() {
        true => Ok(verified.receipt),
        false => Err(Fault(faults)),
    }
}

#[cfg(test)]
mod tests;
