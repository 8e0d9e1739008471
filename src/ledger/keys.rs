//! The layout of the one key space: a letter, a slash, and what it is found by.

use super::machine::{CallId, ChannelId, CreditKey, EntityId, ReplayKey};

/// The event log, by number.
pub(super) const LOG: &[u8] = b"e/";
/// The numbers of calls' log entries, by call id.
pub(super) const CALLS: &[u8] = b"c/";
/// Withdrawals, by id.
pub(super) const WITHDRAWALS: &[u8] = b"w/";
/// Channels' accounts, by id.
pub(super) const CHANNELS: &[u8] = b"n/";
/// Channel ids, by payer.
pub(super) const PAYER_CHANNELS: &[u8] = b"y/";
/// Operations, by id.
pub(super) const OPERATIONS: &[u8] = b"t/";
/// Call ids, by replay key.
pub(super) const REPLAYS: &[u8] = b"r/";
/// Call ids, by payment identifier.
pub(super) const PAYMENT_IDS: &[u8] = b"p/";
/// Ids of calls, withdrawals and operations with something left to do.
pub(super) const OPEN: &[u8] = b"o/";
/// The open calls among them.
pub(super) const OPEN_CALLS: &[u8] = b"o/call_";
/// The open withdrawals among them.
pub(super) const OPEN_WITHDRAWALS: &[u8] = b"o/wd_";
/// The open operations among them.
pub(super) const OPEN_OPERATIONS: &[u8] = b"o/op_";
/// Credits, by payer, network and asset.
pub(super) const CREDITS: &[u8] = b"k/";
/// Payers' standings, by payer, network and asset.
pub(super) const STANDINGS: &[u8] = b"s/";
/// Answers' heads, each with the first piece of its body, by call id.
pub(super) const ANSWERS: &[u8] = b"a/";
/// The other pieces of answers' bodies, by call id and number.
pub(super) const ANSWER_PIECES: &[u8] = b"b/";
/// Call ids of answers, by when they expire.
pub(super) const EXPIRIES: &[u8] = b"x/";

/// What was learned, by kind and name.
const NOTES: &[u8] = b"h/";

/// The key of a note.
pub(super) fn note(kind: &str, name: &[u8]) -> Vec<u8> {
    let mut key = join(NOTES, kind.as_bytes());
    key.push(b'/');
    key.extend_from_slice(name);
    key
}

/// The key of log entry `seq`; big-endian, so that keys sort as numbers.
pub(super) fn log(seq: u64) -> Vec<u8> {
    join(LOG, &seq.to_be_bytes())
}

/// The number of the log entry under `key`, if it is such a key.
pub(super) fn log_seq(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(LOG)?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

/// The key of an entity's state.
pub(super) fn state(id: &EntityId) -> Vec<u8> {
    let kind = match id {
        EntityId::Call(_) => CALLS,
        EntityId::Withdrawal(_) => WITHDRAWALS,
        EntityId::Channel(_) => CHANNELS,
        EntityId::Operation(_) => OPERATIONS,
    };
    join(kind, id.to_string().as_bytes())
}

/// The key of an entity's entry in the open index.
pub(super) fn open(id: &EntityId) -> Vec<u8> {
    join(OPEN, id.to_string().as_bytes())
}

/// The key of a replay key's entry.
pub(super) fn replay(key: &ReplayKey) -> Vec<u8> {
    join(REPLAYS, key.to_string().as_bytes())
}

/// The key of a payment identifier's entry.
pub(super) fn payment_id(key: &ReplayKey) -> Vec<u8> {
    join(PAYMENT_IDS, key.to_string().as_bytes())
}

/// The key of a credit record.
pub(super) fn credit(key: &CreditKey) -> Vec<u8> {
    join(CREDITS, path(key).as_bytes())
}

/// The key of a standing's record.
pub(super) fn standing(key: &CreditKey) -> Vec<u8> {
    join(STANDINGS, path(key).as_bytes())
}

/// The key of a channel's entry under its payer.
pub(super) fn payer_channel(payer: &str, channel: &ChannelId) -> Vec<u8> {
    join(PAYER_CHANNELS, format!("{payer}/{channel}").as_bytes())
}

/// What the keys of all channels of a payer begin with.
pub(super) fn channels_of(payer: &str) -> Vec<u8> {
    join(PAYER_CHANNELS, format!("{payer}/").as_bytes())
}

/// What the keys of all credits of a payer begin with.
pub(super) fn credits_of(payer: &str) -> Vec<u8> {
    join(CREDITS, format!("{payer}/").as_bytes())
}

/// The key of an answer's head.
pub(super) fn answer(call: &CallId) -> Vec<u8> {
    join(ANSWERS, call.to_string().as_bytes())
}

/// The key of one piece of an answer's body.
pub(super) fn answer_piece(call: &CallId, piece: u32) -> Vec<u8> {
    let mut key = join(ANSWER_PIECES, call.to_string().as_bytes());
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

/// The key of an answer's expiry; big-endian, so that the earliest comes first.
pub(super) fn expiry(expires_ms: u64, call: &CallId) -> Vec<u8> {
    let mut key = join(EXPIRIES, &expires_ms.to_be_bytes());
    key.extend_from_slice(call.to_string().as_bytes());
    key
}

/// The parts hold no slash, so no two paths meet.
fn path(key: &CreditKey) -> String {
    format!("{}/{}/{}", key.payer, key.network, key.asset)
}

fn join(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    [prefix, rest].concat()
}
