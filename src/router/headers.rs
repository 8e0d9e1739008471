//! Which headers cross the gateway: hop-by-hop, payment, cookie and credential headers never do.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Hop-by-hop and framing headers (RFC 9110 §7.6.1), set anew on each side.
const CONNECTION_ONLY: [&str; 14] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "content-length",
    "content-encoding",
    "host",
];

/// Headers of payment, identity and place, which end at Groat in both directions.
const PRIVATE: [&str; 26] = [
    "payment-required",
    "payment-signature",
    "payment-response",
    "payment-authorization",
    "payment-retry",
    "payment-recovery",
    "payment-receipt",
    "x-payment",
    "x-payment-response",
    "extension-responses",
    "settlement-overrides",
    "sign-in-with-x",
    "accept-payment",
    "authorization",
    "www-authenticate",
    "authentication-info",
    "cookie",
    "set-cookie",
    "set-cookie2",
    "x-api-key",
    "api-key",
    "forwarded",
    "x-real-ip",
    "via",
    "access-control-expose-headers",
    "origin",
];

/// The caller's headers that may go to an upstream.
pub fn forwardable_request_headers(from: &HeaderMap) -> HeaderMap {
    let mut kept = crossing(from);
    for name in [
        header::ACCEPT_ENCODING,
        header::CONTENT_TYPE,
        header::USER_AGENT,
    ] {
        kept.remove(name);
    }
    kept
}

/// An upstream's headers that may go to the caller.
pub(super) fn passable_answer_headers(from: &HeaderMap) -> HeaderMap {
    let mut kept = crossing(from);
    for name in [
        header::SERVER,
        header::DATE,
        header::LOCATION,
        header::ALT_SVC,
    ] {
        kept.remove(name);
    }
    kept
}

fn crossing(from: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = from
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    from.iter()
        .filter(|(name, _)| may_cross(name) && !named.iter().any(|n| n == name.as_str()))
        .map(|(name, value)| (name.clone(), own(value)))
        .collect()
}

/// A copy of its own: a clone is a view of the connection's buffer, and would keep all of that for as long
/// as the call lasts.
fn own(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

fn may_cross(name: &HeaderName) -> bool {
    let name = name.as_str();
    let prefixed = ["groat-", "x-forwarded-", "cf-", "access-control-", "sec-"];
    !CONNECTION_ONLY.contains(&name)
        && !PRIVATE.contains(&name)
        && !prefixed.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_12_private_and_hop_by_hop_headers_never_cross() {
        let mut from = HeaderMap::new();
        for name in CONNECTION_ONLY.iter().chain(&PRIVATE) {
            from.append(HeaderName::from_static(name), "x".parse().expect("a value"));
        }
        from.append("connection", "close, X-Hop".parse().expect("a value"));
        from.append("x-hop", "1".parse().expect("a value"));
        from.append("groat-call-id", "1".parse().expect("a value"));
        from.append("x-title", "kept".parse().expect("a value"));
        let kept = forwardable_request_headers(&from);
        assert_eq!(
            kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-title"]
        );
        assert_eq!(passable_answer_headers(&from).len(), 1);
    }
}
