use super::Challenge;
use super::request;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The shortest secret that seals challenges; the kits refuse shorter ones too.
pub const KEY_BYTES_MIN: usize = 32;

/// A secret is shorter than [`KEY_BYTES_MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of at least {KEY_BYTES_MIN} bytes is needed")]
pub struct WeakKey;

/// The secrets that challenges are sealed with: one for new ones, and those before it for as long as
/// challenges sealed with them are alive.
#[derive(Clone)]
pub struct Keys {
    current: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
}

impl Keys {
    /// Fails for a secret that is too short.
    pub fn new<'k>(
        current: &[u8],
        previous: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<Self, WeakKey> {
        Ok(Self {
            current: mac(current)?,
            previous: previous.into_iter().map(mac).collect::<Result<_, _>>()?,
        })
    }

    /// The identifier of a challenge with these parameters.
    pub fn id_of(&self, challenge: &Challenge) -> String {
        let tag = fed(&self.current, challenge).finalize().into_bytes();
        request::encode_bytes(tag)
    }

    /// Whether a challenge's identifier is of one of these secrets; takes the same time for all that are not.
    pub fn sealed(&self, challenge: &Challenge) -> bool {
        let Some(tag) = request::decode_bytes(&challenge.id) else {
            return false;
        };
        std::iter::once(&self.current)
            .chain(&self.previous)
            .any(|key| fed(key, challenge).verify_slice(&tag).is_ok())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

fn mac(secret: &[u8]) -> Result<Hmac<Sha256>, WeakKey> {
    let long = secret.len() >= KEY_BYTES_MIN;
    let key = Hmac::new_from_slice(secret).ok();
    key.filter(|_| long).ok_or(WeakKey)
}

/// The slots in their order (draft-ietf-httpauth-payment §5.1.1, with the kits' slot for a header that is
/// not the usual one): what is missing leaves its slot empty.
fn fed(key: &Hmac<Sha256>, challenge: &Challenge) -> Hmac<Sha256> {
    let Challenge {
        realm,
        method,
        intent,
        request,
        expires,
        digest,
        opaque,
        ..
    } = challenge;
    let text = |slot: &Option<String>| slot.clone().unwrap_or_default();
    let mut slots = vec![
        realm.clone(),
        method.clone(),
        intent.clone(),
        request.clone(),
    ];
    slots.extend([text(expires), text(digest)]);
    let header = challenge.header.as_deref();
    let unusual = header.filter(|name| !name.eq_ignore_ascii_case("authorization"));
    slots.extend(unusual.map(str::to_owned));
    slots.push(text(opaque));
    key.clone().chain_update(slots.join("|"))
}
