//! The rankings: what was sold each day, by model, endpoint and app, and nothing of who paid. Each day that
//! is over carries the hash of its rows and of the day before, so that none can be changed later.

use crate::money::Pusd;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most rows of one day; what comes beyond them is counted together.
const ROWS_MAX: usize = 10_000;

/// What stands in the place of a name beyond [`ROWS_MAX`].
const OTHER: &str = "(other)";

/// One call that was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Of what, by whom, for which app.
    pub of: Of,
    /// How much.
    pub sums: Sums,
}

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Of {
    /// The model asked for.
    pub model: String,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The app that asked, by its own word; empty where it gave none.
    pub app: String,
}

/// What a row adds up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Calls.
    pub calls: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// The cached ones.
    pub cached_tokens: u64,
    /// Output tokens, reasoning included.
    pub completion_tokens: u64,
    /// What was billed, in 10⁻¹² USD, markup included.
    pub spend_pusd: Pusd,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.completion_tokens = self
            .completion_tokens
            .saturating_add(other.completion_tokens);
        self.spend_pusd = self
            .spend_pusd
            .plus(other.spend_pusd)
            .unwrap_or(self.spend_pusd);
    }
}

/// All days with sales.
#[derive(Debug, Clone, Default)]
pub struct Rankings(BTreeMap<String, BTreeMap<Of, Sums>>);

/// The data set, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dataset {
    /// The days, earliest first.
    pub data: Vec<Day>,
    /// How it is to be read.
    pub meta: Meta,
}

/// How the data set is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// The version of its form.
    pub version: &'static str,
    /// How a day's hash is made.
    pub chain: &'static str,
}

/// One day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The date, as `2026-11-27`.
    pub date: String,
    /// The hash of the day before; zeros for the first.
    pub prev: String,
    /// This day's hash; `None` while it is not over.
    pub hash: Option<String>,
    /// What was sold, by model, endpoint and app.
    pub rows: Vec<Row>,
}

/// One row of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Of what.
    #[serde(flatten)]
    pub of: Of,
    /// How much.
    #[serde(flatten)]
    pub sums: Sums,
}

const META: Meta = Meta {
    version: "1",
    chain: "hash = SHA-256(prev, line feed, date, line feed, the day's rows as lines of the CSV without its date and hash)",
};

impl Rankings {
    /// Adds a sale to its day.
    pub fn add(&mut self, sale: Sale) {
        let rows = self.0.entry(date(sale.at_ms)).or_default();
        let of = match rows.len() < ROWS_MAX || rows.contains_key(&sale.of) {
            true => sale.of,
            false => Of {
                model: OTHER.to_owned(),
                endpoint: OTHER.to_owned(),
                app: OTHER.to_owned(),
            },
        };
        rows.entry(of).or_default().add(&sale.sums);
    }

    /// The days from one date to another, both included; a day that is not over has no hash.
    pub fn dataset(&self, from: &str, to: &str, now_ms: u64) -> Dataset {
        let today = date(now_ms);
        let mut prev = "0".repeat(64);
        let mut data = Vec::new();
        for (date, rows) in &self.0 {
            let rows: Vec<Row> = rows
                .iter()
                .map(|(of, sums)| Row {
                    of: of.clone(),
                    sums: *sums,
                })
                .collect();
            let over = *date < today;
            let hash = over.then(|| hash(&prev, date, &rows));
            let next = hash.clone();
            let wanted = date.as_str() >= from && date.as_str() <= to;
            if wanted {
                data.push(Day {
                    date: date.clone(),
                    prev: prev.clone(),
                    hash,
                    rows,
                });
            }
            prev = next.unwrap_or(prev);
        }
        Dataset { data, meta: META }
    }
}

impl Dataset {
    /// The same as CSV (RFC 4180), one line a row.
    pub fn csv(&self) -> String {
        let mut text = format!("date,{COLUMNS},hash\n");
        for day in &self.data {
            let hash = day.hash.as_deref().unwrap_or_default();
            for row in &day.rows {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{},{},{hash}", day.date, line(row));
            }
        }
        text
    }

    /// The first day whose hash is not that of its rows and of the day before it.
    pub fn broken(&self) -> Option<&Day> {
        let mut before: Option<&str> = None;
        self.data.iter().find(|day| {
            let follows = before.is_none_or(|prev| prev == day.prev);
            let right = day
                .hash
                .as_ref()
                .is_none_or(|is| *is == hash(&day.prev, &day.date, &day.rows));
            before = day.hash.as_deref();
            !follows || !right
        })
    }
}

const COLUMNS: &str =
    "model,endpoint,app,calls,prompt_tokens,cached_tokens,completion_tokens,spend_pusd";

fn line(row: &Row) -> String {
    let Row { of, sums } = row;
    format!(
        "{},{},{},{},{},{},{},{}",
        quoted(&of.model),
        quoted(&of.endpoint),
        quoted(&of.app),
        sums.calls,
        sums.prompt_tokens,
        sums.cached_tokens,
        sums.completion_tokens,
        sums.spend_pusd.pico(),
    )
}

fn quoted(text: &str) -> String {
    // A cell that begins like a formula is one to a spreadsheet.
    let formula = text.starts_with(['=', '+', '-', '@']);
    match formula || text.contains([',', '"', '\n', '\r']) {
        true => format!(
            "\"{}{}\"",
            if formula { "'" } else { "" },
            text.replace('"', "\"\"")
        ),
        false => text.to_owned(),
    }
}

fn hash(prev: &str, date: &str, rows: &[Row]) -> String {
    let mut sha = Sha256::new();
    sha.update(format!("{prev}\n{date}\n"));
    for row in rows {
        sha.update(line(row));
        sha.update("\n");
    }
    hex::encode(sha.finalize())
}

/// The date of a moment, in UTC.
pub fn date(at_ms: u64) -> String {
    let ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn sale(day: u64, model: &str, app: &str) -> Sale {
        Sale {
            at_ms: day * DAY_MS + 5,
            of: Of {
                model: model.to_owned(),
                endpoint: "e".to_owned(),
                app: app.to_owned(),
            },
            sums: Sums {
                calls: 1,
                prompt_tokens: 100,
                cached_tokens: 40,
                completion_tokens: 10,
                spend_pusd: Pusd::from_pico(7),
            },
        }
    }

    fn three_days() -> Rankings {
        let mut rankings = Rankings::default();
        for (day, model, app) in [
            (0, "a", ""),
            (0, "a", ""),
            (0, "b", "x, \"y\""),
            (1, "a", "=1"),
            (3, "a", ""),
        ] {
            rankings.add(sale(day, model, app));
        }
        rankings
    }

    #[test]
    fn days_that_are_over_are_chained_and_the_open_one_is_not() {
        let set = three_days().dataset("", "9", 3 * DAY_MS);
        let dates: Vec<&str> = set.data.iter().map(|day| day.date.as_str()).collect();
        assert_eq!(dates, ["1970-01-01", "1970-01-02", "1970-01-04"]);
        let [first, second, open] = set.data.as_slice() else {
            panic!("three days");
        };
        assert_eq!(first.prev, "0".repeat(64));
        assert_eq!(Some(&second.prev), first.hash.as_ref());
        assert_eq!(
            (Some(&open.prev), &open.hash),
            (second.hash.as_ref(), &None)
        );
        assert_eq!(first.rows.first().map(|row| row.sums.calls), Some(2));
        assert_eq!(set.broken(), None);

        let part = three_days().dataset("1970-01-02", "1970-01-02", 3 * DAY_MS);
        assert_eq!(
            part.data,
            std::slice::from_ref(second),
            "a part has the same hashes"
        );

        let mut bent = set.clone();
        if let Some(row) = bent.data.first_mut().and_then(|day| day.rows.first_mut()) {
            row.sums.calls += 1;
        }
        assert_eq!(
            bent.broken().map(|day| day.date.as_str()),
            Some("1970-01-01")
        );
    }

    #[test]
    fn the_csv_escapes_what_apps_call_themselves() {
        let csv = three_days().dataset("", "9", 9 * DAY_MS).csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 5, "{csv}");
        assert!(csv.contains("b,e,\"x, \"\"y\"\"\",1,100,40,10,7,"), "{csv}");
        assert!(csv.contains("a,e,\"'=1\",1,"), "{csv}");
    }
}
