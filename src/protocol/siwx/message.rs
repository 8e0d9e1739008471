use crate::protocol::Network;
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The content of the header `SIGN-IN-WITH-X` (x402 extension sign-in-with-x, "Client Request").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The host signed in to, with its port if any.
    pub domain: String,
    /// The account's address.
    pub address: String,
    /// A sentence shown to the signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The URL signed in to.
    pub uri: String,
    /// Always `1`.
    pub version: String,
    /// The chain in CAIP-2 form.
    pub chain_id: String,
    /// Always `eip191` here.
    pub r#type: String,
    /// The challenge's random text.
    pub nonce: String,
    /// When the challenge was made, RFC 3339.
    pub issued_at: String,
    /// When it ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    /// When it begins, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// The service's own name for the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// URLs the signer refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// How a contract wallet signed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_scheme: Option<String>,
    /// The signature in hexadecimal.
    #[serde(default)]
    pub signature: String,
}

impl SignIn {
    /// The text that is signed (EIP-4361), with the address in its checksummed form.
    pub fn text(&self, network: Network, address: Address) -> String {
        let mut out = format!(
            "{} wants you to sign in with your Ethereum account:\n{address}\n\n",
            self.domain
        );
        if let Some(statement) = &self.statement {
            out.push_str(statement);
            out.push('\n');
        }
        let mut line = |label: &str, value: &str| {
            let _ = write!(out, "\n{label}: {value}");
        };
        line("URI", &self.uri);
        line("Version", &self.version);
        line("Chain ID", &network.chain_id().to_string());
        line("Nonce", &self.nonce);
        let not_empty = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        line("Issued At", &self.issued_at);
        if let Some(text) = not_empty(&self.expiration_time) {
            line("Expiration Time", &text);
        }
        if let Some(text) = not_empty(&self.not_before) {
            line("Not Before", &text);
        }
        if let Some(text) = &self.request_id {
            line("Request ID", text);
        }
        if let Some(resources) = &self.resources {
            out.push_str("\nResources:");
            for resource in resources {
                out.push_str("\n- ");
                out.push_str(resource);
            }
        }
        out
    }

    /// Whether any member could forge another line of the signed text.
    pub(super) fn has_control_characters(&self) -> bool {
        let optional = [
            &self.statement,
            &self.expiration_time,
            &self.not_before,
            &self.request_id,
        ];
        [
            &self.domain,
            &self.uri,
            &self.version,
            &self.nonce,
            &self.issued_at,
        ]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .chain(self.resources.iter().flatten())
        .any(|text| text.chars().any(char::is_control))
    }
}
