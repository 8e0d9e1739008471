//! OpenAI's Responses: `instructions`, `input` and tools.

use super::ShapeRefusal;
use super::content;
use super::members::{present, text};
use crate::json::Object;

/// Checks the prompt; counts its items, the instructions among them, and its tools.
pub(super) fn prompt(body: &Object<'_>) -> Result<(u64, u64), ShapeRefusal> {
    let instructions = u64::from(text(body, "instructions")?.is_some());
    let input = present(body, "input").ok_or_else(|| {
        ShapeRefusal::invalid("input", "is required: a text or an array of items")
    })?;
    let items = match input.starts_with('"') {
        true => 1,
        false => content::input_items(input)?,
    };
    let tools = content::tools(body, false)?;
    Ok((items.saturating_add(instructions), tools))
}
