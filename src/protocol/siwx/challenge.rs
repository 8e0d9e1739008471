use super::message::SignIn;
use crate::protocol::header;
use crate::protocol::signature::Key;
use crate::protocol::{HeaderError, Network};
use alloy::primitives::eip191_hash_message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a challenge advertises so that a wallet can sign in (x402 extension sign-in-with-x,
/// "Server Declaration"); an origin, a path on it, and a fresh nonce make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiwxChallenge {
    /// This host, with its port if any.
    pub domain: String,
    /// The URL signed in to.
    pub uri: String,
    /// Always `1`.
    pub version: String,
    /// Random text, used once; at least 8 letters and digits.
    pub nonce: String,
    /// When this was made, RFC 3339.
    pub issued_at: String,
    /// When it ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    /// A sentence shown to the signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// URLs the signer refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
}

impl SiwxChallenge {
    /// The extension's value: the info, the chains an account may be of, and a short schema.
    pub fn to_extension(&self, networks: &[Network]) -> Value {
        let chains: Vec<_> = networks
            .iter()
            .map(|network| json!({ "chainId": network, "type": "eip191" }))
            .collect();
        json!({ "info": self, "supportedChains": chains, "schema": { "type": "object" } })
    }

    /// The header `SIGN-IN-WITH-X` that answers this challenge by `key` (client side).
    pub fn answer(&self, network: Network, key: &Key) -> Result<String, HeaderError> {
        let address = key.address();
        let mut message = SignIn {
            domain: self.domain.clone(),
            address: address.to_string(),
            statement: self.statement.clone(),
            uri: self.uri.clone(),
            version: self.version.clone(),
            chain_id: network.to_string(),
            r#type: "eip191".to_owned(),
            nonce: self.nonce.clone(),
            issued_at: self.issued_at.clone(),
            expiration_time: self.expiration_time.clone(),
            not_before: None,
            request_id: None,
            resources: self.resources.clone(),
            signature_scheme: None,
            signature: String::new(),
        };
        let digest = eip191_hash_message(message.text(network, address));
        message.signature = format!("0x{}", hex::encode(key.sign(digest).to_bytes()));
        header::encode(&message)
    }
}
