//! Ready-made upstreams: what is known of a provider, as data.

use super::reader::Reader;
use toml::Table;

const TEMPLATES: &str = include_str!("templates.toml");

/// Fills in what the template that a table names says, where the table says nothing itself.
pub(super) fn fill(r: &mut Reader<'_>) {
    let Some(name) = r.text("template") else {
        return;
    };
    let templates: Table = TEMPLATES.parse().unwrap_or_default();
    match templates.get(&name).and_then(toml::Value::as_table) {
        Some(template) => {
            r.fill(&Table::from_iter([("name".to_owned(), name.into())]));
            r.fill(template);
        }
        None => {
            let names: Vec<&str> = templates.keys().map(String::as_str).collect();
            r.wrong("template", format!("must be one of {}", names.join(", ")));
        }
    }
}
