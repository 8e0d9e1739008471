use toml::{Table, Value};

/// Lays one configuration over another: tables merge member by member, `[[upstream]]` entries and
/// their models replace those of the same `name` or `id` and are added otherwise, all else replaces.
pub fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (Some(Value::Array(below)), Value::Array(above)) => overlay_entries(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn overlay_entries(base: &mut Vec<Value>, over: Vec<Value>) {
    if !over.iter().all(|entry| name_of(entry).is_some()) {
        *base = over;
        return;
    }
    for entry in over {
        let same = base
            .iter_mut()
            .find(|known| name_of(known) == name_of(&entry));
        match (same, entry) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, entry) => base.push(entry),
        }
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    let table = entry.as_table()?;
    table.get("name").or_else(|| table.get("id"))?.as_str()
}
