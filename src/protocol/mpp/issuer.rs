use super::{Challenge, Keys, Refused, body_digest, is_digest_of, request};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who makes challenges and knows them again.
#[derive(Debug, Clone)]
pub struct Issuer {
    realm: String,
    keys: Keys,
}

/// What a challenge is bound to beside what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The HTTP method, the path, and what stands for a query.
    pub route: &'a str,
    /// The SHA-256 of the body.
    pub body: &'a [u8; 32],
}

/// What a challenge of ours was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The price row of its offer.
    pub price_row: String,
    route: String,
    digest: String,
}

/// The parameter `opaque`: flat, text to text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opaque {
    route: String,
    price_row: String,
    /// Without it, two challenges for one request within a second would be one, and so their payments.
    salt: String,
}

impl Issuer {
    /// Makes challenges for `realm`, the public host name.
    pub fn new(realm: impl Into<String>, keys: Keys) -> Self {
        let realm = realm.into();
        Self { realm, keys }
    }

    /// Who asks.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// A challenge to pay `request` (its parameter) by a method and an intent until `expires` (Unix
    /// seconds), at one price row; `salt` is random.
    pub fn challenge(
        &self,
        (method, intent): (&str, &str),
        request: String,
        bound: &Bound<'_>,
        (price_row, salt): (&str, u64),
        expires: u64,
    ) -> Challenge {
        let opaque = Opaque {
            route: bound.route.to_owned(),
            price_row: price_row.to_owned(),
            salt: format!("{salt:016x}"),
        };
        let opaque = serde_json::to_value(opaque).unwrap_or_default();
        let seconds = i64::try_from(expires).unwrap_or(i64::MAX);
        let expires = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let mut challenge = Challenge {
            id: String::new(),
            realm: self.realm.clone(),
            method: method.to_owned(),
            intent: intent.to_owned(),
            request,
            description: None,
            digest: Some(body_digest(bound.body)),
            expires: Some(expires.to_string()),
            header: None,
            opaque: Some(request::encode(&opaque)),
        };
        challenge.id = self.keys.id_of(&challenge);
        challenge
    }

    /// Reads what a challenge was made for, if it was made here. Whether it is too old is for its method
    /// to judge: what was bought once is given again.
    pub fn open(&self, challenge: &Challenge) -> Result<Opened, Refused> {
        if !self.keys.sealed(challenge) {
            return Err(Refused::NotOurs);
        }
        if challenge.realm != self.realm || challenge.expires.is_none() {
            return Err(Refused::NotTaken);
        }
        let opaque = challenge.opaque.as_deref().and_then(request::decode);
        let opaque: Option<Opaque> = opaque.and_then(|text| serde_json::from_str(&text).ok());
        let opaque = opaque.ok_or(Refused::NotTaken)?;
        let digest = challenge.digest.clone().ok_or(Refused::NotTaken)?;
        Ok(Opened {
            price_row: opaque.price_row,
            route: opaque.route,
            digest,
        })
    }
}

impl Opened {
    /// Fails when this was made for another route.
    pub fn check_route(&self, route: &str) -> Result<(), Refused> {
        match self.route == route {
            true => Ok(()),
            false => Err(Refused::Route),
        }
    }

    /// Fails when this was made for another request.
    pub fn check(&self, bound: &Bound<'_>) -> Result<(), Refused> {
        self.check_route(bound.route)?;
        match is_digest_of(&self.digest, bound.body) {
            true => Ok(()),
            false => Err(Refused::Body),
        }
    }
}
