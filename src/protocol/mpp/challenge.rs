use super::request;
use super::syntax::{self, SyntaxError};
use super::{SCHEME, credential};
use serde::{Deserialize, Serialize};

/// The longest `request` parameter that is read; the kits have the same bound.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// One way to pay for one request (draft-ietf-httpauth-payment §5.1). In a credential it is echoed as
/// JSON of the same members.
///
/// Every value is the wire's own text: an identifier is made of these, not of what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// What binds all the rest.
    pub id: String,
    /// Who asks: the public host name.
    pub realm: String,
    /// Who settles, such as `evm`.
    pub method: String,
    /// How, such as `charge`.
    pub intent: String,
    /// What is asked for: canonical JSON in base64url.
    pub request: String,
    /// A sentence for people; bound by nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The digest of the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Until when it can be paid (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The header that the credential must come in, if that is not `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// What the server wants to see again: a flat JSON object in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<String>,
}

impl Challenge {
    /// The value of the header `WWW-Authenticate`; fails when a value cannot stand in a header.
    pub fn to_header(&self) -> Result<String, SyntaxError> {
        let mut out = format!("{SCHEME} ");
        let of_need = [
            ("id", &self.id),
            ("realm", &self.realm),
            ("method", &self.method),
            ("intent", &self.intent),
            ("request", &self.request),
        ];
        let at_will = [
            ("description", &self.description),
            ("digest", &self.digest),
            ("expires", &self.expires),
            ("header", &self.header),
            ("opaque", &self.opaque),
        ];
        for (name, value) in of_need {
            syntax::write(name, value, &mut out)?;
        }
        for (name, value) in at_will {
            if let Some(value) = value {
                syntax::write(name, value, &mut out)?;
            }
        }
        Ok(out)
    }

    /// All challenges in the values of `WWW-Authenticate`, one or several to a line; other schemes are
    /// passed over. Fails when there is none, or one is not of its form.
    pub fn read_all<'v>(
        values: impl IntoIterator<Item = &'v str>,
    ) -> Result<Vec<Self>, SyntaxError> {
        let mut found = Vec::new();
        for value in values {
            if value.len() > credential::BYTES_MAX {
                return Err(SyntaxError::TooLarge);
            }
            for piece in syntax::pieces(value) {
                found.push(Self::read(syntax::parameters_of(piece))?);
            }
        }
        match found.is_empty() {
            true => Err(SyntaxError::NoScheme),
            false => Ok(found),
        }
    }

    fn read(parameters: &str) -> Result<Self, SyntaxError> {
        let mut found = syntax::read(parameters)?;
        let mut needed = |name: &'static str| {
            let value = found.remove(name).filter(|value| !value.is_empty());
            value.ok_or(SyntaxError::Missing(name))
        };
        let challenge = Self {
            id: needed("id")?,
            realm: needed("realm")?,
            method: needed("method")?,
            intent: needed("intent")?,
            request: needed("request")?,
            description: found.remove("description"),
            digest: found.remove("digest"),
            expires: found.remove("expires"),
            header: found.remove("header"),
            opaque: found.remove("opaque"),
        };
        challenge.check_form()?;
        Ok(challenge)
    }

    /// What every reader insists on, whichever way a challenge came.
    pub(super) fn check_form(&self) -> Result<(), SyntaxError> {
        let missing = |of_form: bool, name| match of_form {
            true => Ok(()),
            false => Err(SyntaxError::Missing(name)),
        };
        let plain = |text: &str, also: &[u8]| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || also.contains(&b);
            !text.is_empty() && text.bytes().all(allowed)
        };
        let lower = self.method.starts_with(|c: char| c.is_ascii_lowercase())
            && !self.method.contains(|c: char| c.is_ascii_uppercase());
        missing(!self.id.is_empty(), "id")?;
        missing(!self.realm.is_empty(), "realm")?;
        missing(lower && plain(&self.method, b":_-"), "method")?;
        missing(plain(&self.intent, b"-"), "intent")?;
        let short = self.request.len() <= REQUEST_BYTES_MAX;
        missing(short && request::decode(&self.request).is_some(), "request")
    }
}
