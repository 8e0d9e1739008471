use crate::json::{JsonError, Limits, Object, Splice};

/// Sets `members` (name, raw JSON) in the `usage` object of a body or event, which is created where it
/// is absent or `null`; every other byte stays. It is the top-level one, or the `response`'s where an
/// event holds one.
///
/// Fails when the text is not a JSON object or `usage` is something else than an object.
pub fn with_usage_members(
    event_or_body_json: &str,
    members: &[(&str, String)],
) -> Result<String, JsonError> {
    let body = Object::parse(event_or_body_json.as_bytes(), &Limits::default())?;
    let response = body.raw("response").filter(|raw| raw.starts_with('{'));
    let Some(response) = response.filter(|_| body.raw("usage").is_none()) else {
        return in_object(&body, members);
    };
    let response = Object::parse(response.as_bytes(), &Limits::default())?;
    let mut outer = Splice::new(&body);
    outer.set("response", in_object(&response, members)?);
    text(outer.finish())
}

fn in_object(body: &Object<'_>, members: &[(&str, String)]) -> Result<String, JsonError> {
    let limits = Limits::default();
    let usage = match body.raw("usage") {
        None | Some("null") => "{}",
        Some(raw) => raw,
    };
    let wrong = |_| JsonError::WrongType {
        key: "usage".to_owned(),
    };
    let usage = Object::parse(usage.as_bytes(), &limits).map_err(|e| match e {
        JsonError::NotAnObject => wrong(()),
        other => other,
    })?;
    let mut inner = Splice::new(&usage);
    for (name, raw_json) in members {
        inner.set(name, raw_json.clone());
    }
    let mut outer = Splice::new(body);
    outer.set("usage", text(inner.finish())?);
    text(outer.finish())
}

fn text(bytes: Vec<u8>) -> Result<String, JsonError> {
    String::from_utf8(bytes).map_err(|e| JsonError::Syntax {
        offset: e.utf8_error().valid_up_to(),
        reason: "not UTF-8".to_owned(),
    })
}
