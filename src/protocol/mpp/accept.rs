/// What a client can pay by, and how gladly (`Accept-Payment`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences(Vec<Range>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    /// `None` stands for any.
    method: Option<String>,
    intent: Option<String>,
    /// In thousandths.
    weight: u16,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (method, intent) = parts.next()?.split_once('/')?;
        let mut weight = 1000;
        for parameter in parts.filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("q") {
                weight = thousandths(value.trim())?;
            }
        }
        Some(Self {
            method: token(method.trim())?,
            intent: token(intent.trim())?,
            weight,
        })
    }

    fn takes(&self, method: &str, intent: &str) -> bool {
        let is = |ours: &Option<String>, theirs| ours.as_deref().is_none_or(|own| own == theirs);
        is(&self.method, method) && is(&self.intent, intent)
    }

    fn narrowness(&self) -> usize {
        [&self.method, &self.intent].into_iter().flatten().count()
    }
}

/// A name, or `None` for any; fails for what is neither.
#[expect(clippy::option_option, reason = "any is not the same as neither")]
fn token(text: &str) -> Option<Option<String>> {
    if text == "*" {
        return Some(None);
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let name = !text.is_empty() && text.bytes().all(plain);
    name.then(|| Some(text.to_owned()))
}

/// Reads a weight (RFC 9110 §12.4.2): `0` to `1` with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let decimals: u16 = format!("{decimals:0<3}").parse().ok().filter(|_| digits)?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

impl Preferences {
    /// Reads the header; `None` for one that is not of its form, which says nothing then.
    pub fn read(header: &str) -> Option<Self> {
        let ranges = header.split(',').map(str::trim).filter(|r| !r.is_empty());
        let ranges: Vec<Range> = ranges.map(Range::read).collect::<Option<_>>()?;
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// The offers a client can pay by, its favourites first and otherwise in our order; all of them
    /// when it can pay by none, so that it learns what there is.
    pub fn choose<T: Clone>(&self, offers: &[T], names: impl Fn(&T) -> (&str, &str)) -> Vec<T> {
        let weight = |offer: &T| {
            let (method, intent) = names(offer);
            let ranges = self.0.iter().filter(|range| range.takes(method, intent));
            let narrowest = ranges.max_by_key(|range| (range.narrowness(), range.weight));
            narrowest.map_or(0, |range| range.weight)
        };
        let mut chosen: Vec<T> = offers.iter().filter(|o| weight(o) > 0).cloned().collect();
        if chosen.is_empty() {
            return offers.to_vec();
        }
        chosen.sort_by_key(|offer| std::cmp::Reverse(weight(offer)));
        chosen
    }
}
