//! The prefix cache: which prefixes were seen, until when, within a bound.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::prompt::Prompt;

/// Sets an explicitly written prefix apart from a block that ends at the same place.
const EXPLICIT: u64 = 0xb7e1_5162_8aed_2a6a;

/// What the cache did for one prompt, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CacheUse {
    pub(super) read: u64,
    /// Written by the provider's own choice.
    pub(super) write_implicit: u64,
    /// Written up to a breakpoint, for 5 minutes and for an hour.
    pub(super) write_5m: u64,
    pub(super) write_1h: u64,
}

/// Lifetimes and sizes of the cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) block_tokens: u64,
    pub(super) min_tokens: u64,
    pub(super) ttl: Duration,
    pub(super) long_ttl: Duration,
    pub(super) entries_max: usize,
}

/// Prefix keys with their expiry; `space` keeps accounts and models apart. The queue holds every touch in order of time; a touch that is no
/// longer an entry's newest is skipped when it comes up, which makes the eviction least recently used.
#[derive(Debug)]
pub(super) struct PrefixCache {
    terms: Terms,
    entries: HashMap<u64, Entry>,
    touches: VecDeque<(u64, u64)>,
    clock: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    expires: Instant,
    ttl: Duration,
    touch: u64,
}

impl PrefixCache {
    pub(super) fn new(terms: Terms) -> Self {
        PrefixCache {
            terms,
            entries: HashMap::new(),
            touches: VecDeque::new(),
            clock: 0,
        }
    }

    /// Reads the longest run of known blocks, leaving at least one token to compute, and stores all.
    pub(super) fn implicit(&mut self, space: u64, prompt: &Prompt, now: Instant) -> CacheUse {
        let Terms {
            block_tokens,
            min_tokens,
            ttl,
            ..
        } = self.terms;
        let full = prompt.blocks.len() as u64 * block_tokens;
        if full < min_tokens {
            return CacheUse::default();
        }
        let known = prompt
            .blocks
            .iter()
            .take_while(|key| self.alive(**key ^ space, now))
            .count() as u64;
        // From the end, so that a prefix's first blocks outlive its last: these are useless alone.
        for key in prompt.blocks.iter().rev() {
            self.touch(*key ^ space, ttl, now);
        }
        let spare = prompt.tokens.saturating_sub(1) / block_tokens;
        let matched = known.min(spare) * block_tokens;
        let read = if matched < min_tokens { 0 } else { matched };
        CacheUse {
            read,
            write_implicit: full - known * block_tokens,
            ..CacheUse::default()
        }
    }

    /// Reads the longest written prefix that ends before the last breakpoint, and writes the
    /// stretches between there and each later breakpoint.
    pub(super) fn explicit(&mut self, space: u64, prompt: &Prompt, now: Instant) -> CacheUse {
        let space = space ^ EXPLICIT;
        let mut done = CacheUse::default();
        let mut wanted = prompt.breakpoints.clone();
        wanted.retain(|point| point.at.tokens >= self.terms.min_tokens.max(1));
        wanted.sort_by_key(|point| point.at.tokens);
        let Some(last) = wanted.last() else {
            return done;
        };
        let before_last = prompt
            .boundaries
            .iter()
            .rev()
            .filter(|b| b.tokens <= last.at.tokens);
        let found = before_last
            .into_iter()
            .find(|b| self.alive(b.key ^ space, now));
        if let Some(boundary) = found {
            done.read = boundary.tokens;
            let key = boundary.key ^ space;
            let ttl = self
                .entries
                .get(&key)
                .map_or(self.terms.ttl, |entry| entry.ttl);
            self.touch(key, ttl, now);
        }
        let mut written_to = done.read;
        for point in wanted.iter().filter(|point| point.at.tokens > done.read) {
            let stretch = point.at.tokens - written_to;
            written_to = point.at.tokens;
            let ttl = if point.long {
                self.terms.long_ttl
            } else {
                self.terms.ttl
            };
            let written = if point.long {
                &mut done.write_1h
            } else {
                &mut done.write_5m
            };
            *written += stretch;
            self.touch(point.at.key ^ space, ttl, now);
        }
        done
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.touches.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn alive(&self, key: u64, now: Instant) -> bool {
        self.entries
            .get(&key)
            .is_some_and(|entry| entry.expires > now)
    }

    fn touch(&mut self, key: u64, ttl: Duration, now: Instant) {
        self.clock += 1;
        let entry = Entry {
            expires: now + ttl,
            ttl,
            touch: self.clock,
        };
        self.entries.insert(key, entry);
        self.touches.push_back((key, self.clock));
        while self.entries.len() > self.terms.entries_max {
            let Some((key, touch)) = self.touches.pop_front() else {
                break;
            };
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.touch == touch)
            {
                self.entries.remove(&key);
            }
        }
        // Old touches of busy entries are dropped before they outgrow the entries.
        if self.touches.len() > 2 * self.terms.entries_max {
            let entries = &self.entries;
            self.touches
                .retain(|(key, touch)| entries.get(key).is_some_and(|e| e.touch == *touch));
        }
    }
}
