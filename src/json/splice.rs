use super::Object;
use super::canonical::quoted;
use std::ops::Range;

/// Edits to an object's top-level members by name; every byte not named stays as it was.
#[derive(Debug, Clone)]
pub struct Splice<'a> {
    object: &'a Object<'a>,
    edits: Vec<(String, Option<String>)>,
}

impl<'a> Splice<'a> {
    /// A splice of `object` that changes nothing yet.
    pub fn new(object: &'a Object<'a>) -> Self {
        Self {
            object,
            edits: Vec::new(),
        }
    }

    /// Replaces the member's value by `raw_json` (which must be valid JSON), or inserts the
    /// member behind the last one.
    pub fn set(&mut self, key: &str, raw_json: String) -> &mut Self {
        self.edit(key, Some(raw_json))
    }

    /// Removes the member with one neighbouring comma; an absent member is no error.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.edit(key, None)
    }

    /// Whether the edited bytes are the original ones.
    pub fn is_idle(&self) -> bool {
        let absent = |key: &str| self.object.span(key).is_none();
        self.edits
            .iter()
            .all(|(key, value)| value.is_none() && absent(key))
    }

    /// The edited bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut patches = self.changes();
        patches.extend(self.insertion());
        let text = self.object.text();
        let grown = patches.iter().map(|(_, new)| new.len());
        let room = grown.fold(text.len(), usize::saturating_add);
        let mut out = String::with_capacity(room);
        let mut at = 0;
        for (span, new) in patches {
            out.push_str(text.get(at..span.start).unwrap_or_default());
            out.push_str(&new);
            at = span.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out.into_bytes()
    }

    /// A later edit of the same member takes the earlier one's place.
    fn edit(&mut self, key: &str, value: Option<String>) -> &mut Self {
        self.edits.retain(|(k, _)| k != key);
        self.edits.push((key.to_owned(), value));
        self
    }

    fn find(&self, key: &str) -> Option<&Option<String>> {
        self.edits.iter().find_map(|(k, v)| (k == key).then_some(v))
    }

    /// Whether the original member survives (possibly with another value).
    fn kept(&self, key: &str) -> bool {
        !matches!(self.find(key), Some(None))
    }

    /// The spans of original members to replace, in order and not overlapping.
    fn changes(&self) -> Vec<(Range<usize>, String)> {
        let mut kept_before = false;
        let mut previous_end = None;
        let mut patches = Vec::new();
        let mut members = self.object.members().peekable();
        while let Some(member) = members.next() {
            let key = member.name.as_ref();
            let next_start = members.peek().map(|next| next.key.start);
            match self.find(key) {
                Some(Some(new)) => patches.push((member.value.clone(), new.clone())),
                Some(None) => {
                    // The comma goes with the member: the one before it where a member stays
                    // before it, else the one behind it.
                    let span = match (kept_before, previous_end, next_start) {
                        (true, Some(end), _) => end..member.value.end,
                        (false, _, Some(start)) => member.key.start..start,
                        _ => member.key.start..member.value.end,
                    };
                    patches.push((span, String::new()));
                }
                None => {}
            }
            kept_before |= self.kept(key);
            previous_end = Some(member.value.end);
        }
        patches
    }

    /// The new members, behind the last original one.
    fn insertion(&self) -> Option<(Range<usize>, String)> {
        let text = self.object.text();
        let last_end = self.object.members().last().map(|last| last.value.end);
        let at = last_end.or_else(|| text.find('{').map(|open| open.saturating_add(1)))?;
        let mut comma = self.object.keys().any(|k| self.kept(k));
        let mut new = String::new();
        for (key, value) in &self.edits {
            let (Some(value), None) = (value, self.object.span(key)) else {
                continue;
            };
            if comma {
                new.push(',');
            }
            new.push_str(&quoted(key));
            new.push(':');
            new.push_str(value);
            comma = true;
        }
        (!new.is_empty()).then_some((at..at, new))
    }
}
