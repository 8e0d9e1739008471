//! Anthropic's Messages: `system`, `messages` and tools without a type.

use super::ShapeRefusal;
use super::content;
use super::members::present;
use crate::json::Object;

/// Checks the prompt; counts its messages, the system's among them, and its tools.
pub(super) fn prompt(body: &Object<'_>) -> Result<(u64, u64), ShapeRefusal> {
    let system = match present(body, "system") {
        None => 0,
        Some(raw) => {
            if !raw.starts_with('"') {
                content::parts(raw, None, "system")?;
            }
            1
        }
    };
    let messages = content::messages(body)?;
    Ok((messages.saturating_add(system), content::tools(body, true)?))
}
