//! A reader of TOML tables that goes on after a mistake, so that all of them are told at once.

use super::Secret;
use alloy::primitives::Address;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use toml::{Table, Value};

/// One thing wrong in the configuration, with the path of the member it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Dotted path, such as `upstream[0].model[2].price.prompt`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Where values of `env = "NAME"` come from; tests pass a map instead of the process environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads one table, remembering which members were asked for and what was wrong.
pub(super) struct Reader<'a> {
    table: Table,
    path: String,
    seen: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    environment: Environment<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: Table, path: &str, environment: Environment<'a>) -> Self {
        Self {
            table,
            path: path.to_owned(),
            seen: BTreeSet::new(),
            mistakes: Vec::new(),
            environment,
        }
    }

    /// All mistakes of this table, unknown members among them.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        let unknown: Vec<String> = self
            .table
            .keys()
            .filter(|key| !self.seen.contains(*key))
            .cloned()
            .collect();
        let known = self.seen.iter().cloned().collect::<Vec<_>>().join(", ");
        for key in unknown {
            self.wrong(&key, format!("unknown member; known here: {known}"));
        }
        self.mistakes
    }

    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.mistakes.push(Mistake {
            path,
            message: message.into(),
        });
    }

    pub(super) fn absorb(&mut self, mistakes: Vec<Mistake>) {
        self.mistakes.extend(mistakes);
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The table as it was written.
    pub(super) fn copied(&self) -> Table {
        self.table.clone()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes over the members of `defaults` that are not there.
    pub(super) fn fill(&mut self, defaults: &Table) {
        for (key, value) in defaults {
            self.table
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.seen.insert(key.to_owned());
        self.table.get(key).cloned()
    }

    /// A member that is a table; an absent one reads as empty so that its required members are named.
    pub(super) fn table(&mut self, key: &str) -> Reader<'a> {
        let table = match self.take(key) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(_) => {
                self.wrong(key, "must be a table");
                Table::new()
            }
        };
        Reader::new(table, &self.path_of(key), self.environment)
    }

    /// A member that is an array of tables.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Reader<'a>> {
        let items = match self.take(key) {
            Some(Value::Array(items)) => items,
            None => Vec::new(),
            Some(_) => {
                self.wrong(key, format!("must be written as [[{}]]", self.path_of(key)));
                Vec::new()
            }
        };
        let mut readers = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            if let Value::Table(table) = item {
                readers.push(Reader::new(table, &path, self.environment));
            } else {
                self.wrong(key, "every entry must be a table");
            }
        }
        readers
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key) {
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.wrong(key, "must be text in quotes");
                None
            }
            None => None,
        }
    }

    pub(super) fn required_text(&mut self, key: &str, example: &str) -> String {
        match (self.table.contains_key(key), self.text(key)) {
            (_, Some(text)) if !text.is_empty() => text,
            (true, None) => String::new(),
            _ => {
                self.wrong(key, format!("is required, for example {key} = {example:?}"));
                String::new()
            }
        }
    }

    /// Text that must parse as `T`; absent gives `default`.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, default: T, form: &str) -> T {
        match self.text(key).map(|text| text.parse()) {
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.wrong(key, format!("must be {form}"));
                default
            }
            None => default,
        }
    }

    pub(super) fn required_address(&mut self, key: &str) -> Address {
        let text = self.required_text(key, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
        text.parse().unwrap_or_else(|_| {
            if !text.is_empty() {
                self.wrong(key, "must be an EVM address: 0x and 40 hex digits");
            }
            Address::ZERO
        })
    }

    /// An address that may be left out.
    pub(super) fn address(&mut self, key: &str) -> Option<Address> {
        if self.has(key) {
            Some(self.required_address(key))
        } else {
            self.seen.insert(key.to_owned());
            None
        }
    }

    /// A list of addresses.
    pub(super) fn addresses(&mut self, key: &str) -> Vec<Address> {
        let texts = self.texts(key).unwrap_or_default();
        let read: Option<Vec<Address>> = texts.iter().map(|text| text.parse().ok()).collect();
        if read.is_none() {
            self.wrong(
                key,
                "must be a list of addresses: 0x and 40 hexadecimal digits each",
            );
        }
        read.unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let texts = match self.take(key)? {
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        if texts.is_none() {
            self.wrong(key, "must be a list of texts in quotes");
        }
        Some(texts.unwrap_or_default())
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Boolean(flag)) => flag,
            Some(_) => {
                self.wrong(key, "must be true or false");
                default
            }
        }
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let number = match self.take(key) {
            None => return default,
            Some(Value::Integer(n)) => u64::try_from(n).ok(),
            Some(_) => None,
        };
        match number.filter(|n| range.contains(n)) {
            Some(n) => n,
            None => {
                let (low, high) = (range.start(), range.end());
                self.wrong(key, format!("must be a whole number from {low} to {high}"));
                default
            }
        }
    }

    /// A secret: `{ env = "NAME" }` or `{ file = "path" }`, never the text itself.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        match self.take(key)? {
            Value::Table(table) if table.len() == 1 => {
                let found = secret_in(&table, self.environment);
                self.told(key, found)
            }
            _ => {
                self.wrong(key, SECRET_FORM);
                None
            }
        }
    }

    /// A secret whose `env` or `file` stands in this very table, beside other members.
    pub(super) fn own_secret(&mut self) -> Option<Secret> {
        let mut table = Table::new();
        for kind in ["env", "file"] {
            if let Some(value) = self.take(kind) {
                table.insert(kind.to_owned(), value);
            }
        }
        let found = match table.len() {
            1 => secret_in(&table, self.environment),
            _ => Err(SECRET_FORM.to_owned()),
        };
        self.told("env", found)
    }

    fn told(&mut self, key: &str, found: Result<Secret, String>) -> Option<Secret> {
        found.map_err(|message| self.wrong(key, message)).ok()
    }
}

const SECRET_FORM: &str = "must be { env = \"NAME\" } or { file = \"path\" }: secrets are not written in the configuration";

/// The secret that a table's one member leads to.
fn secret_in(table: &Table, environment: Environment<'_>) -> Result<Secret, String> {
    let found =
        match table.iter().next() {
            Some((kind, Value::String(name))) if kind == "env" => environment(name)
                .ok_or_else(|| format!("the environment variable {name} is not set")),
            Some((kind, Value::String(path))) if kind == "file" => std::fs::read_to_string(path)
                .map_err(|error| format!("{path} cannot be read: {error}")),
            _ => Err(SECRET_FORM.to_owned()),
        };
    match found?.trim() {
        "" => Err("the secret is empty".to_owned()),
        text => Ok(Secret::new(text)),
    }
}
