//! The prompts of Completions and the inputs of Embeddings: texts, or tokens by their ids.

use super::ShapeRefusal;
use super::content;
use super::members::present;
use crate::json::Object;

/// How many prompts the member holds. A token id takes at least a digit and a comma, so a body has more
/// bytes than tokens in this form too.
pub(super) fn count(body: &Object<'_>, member: &'static str) -> Result<u64, ShapeRefusal> {
    let wrong = || {
        let form = "is required: a text, an array of texts, or token ids";
        ShapeRefusal::invalid(member, form)
    };
    let raw = present(body, member).ok_or_else(wrong)?;
    if raw.starts_with('"') {
        return Ok(1);
    }
    let items = content::items(raw, member)?;
    let all = |test: fn(&str) -> bool| items.iter().all(|item| test(item));
    if items.is_empty() {
        Err(ShapeRefusal::invalid(member, "must not be empty"))
    } else if all(is_id) {
        Ok(1)
    } else if all(|item| item.starts_with('"')) || all(is_list_of_ids) {
        Ok(content::count(&items))
    } else if items.iter().any(|item| item.starts_with('{')) {
        Err(ShapeRefusal::unpriced(
            member,
            "what is neither text nor tokens",
        ))
    } else {
        Err(wrong())
    }
}

fn is_id(item: &str) -> bool {
    !item.is_empty() && item.bytes().all(|b| b.is_ascii_digit())
}

fn is_list_of_ids(item: &str) -> bool {
    item.starts_with('[')
        && content::items(item, "")
            .is_ok_and(|ids| !ids.is_empty() && ids.iter().all(|id| is_id(id)))
}
