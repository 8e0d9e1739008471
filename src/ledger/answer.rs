//! Answers kept for a while, so that a payer who lost one can have it again for the same payment.

use super::batch::{Batch, decode, encode};
use super::error::LedgerError;
use super::keys;
use super::machine::{CallId, EntityId};
use super::store::RECORD_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The longest body kept.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Bodies are cut, because no value may be longer than [`RECORD_BYTES_MAX`]. The first piece goes with the
/// head if both have room in one record, the others have records of their own.
const PIECE_BYTES: usize = 16 << 10;
/// Between the head and the first piece; no JSON text of ours holds it.
const HEAD_END: u8 = b'\n';
/// How many expired answers go in one command.
pub(super) const PURGE_PAGE: usize = 64;

/// What was answered to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnswerHead {
    status: u16,
    headers: Vec<(String, String)>,
    body_bytes: usize,
    /// How many pieces have records of their own. Earlier versions wrote none with the head.
    pieces: u32,
    expires_ms: u64,
}

impl AnswerHead {
    /// Reads a head, and the piece behind it.
    fn decode(record: &[u8]) -> Result<(Self, &[u8]), LedgerError> {
        let end = memchr::memchr(HEAD_END, record).unwrap_or(record.len());
        let (head, piece) = record.split_at(end);
        Ok((decode(head)?, piece.get(1..).unwrap_or_default()))
    }

    /// The record of a head with at most so much of the body behind it, and the rest of the body.
    fn encode(
        answer: &Answer,
        expires_ms: u64,
        most: usize,
    ) -> Result<(Vec<u8>, &[u8]), LedgerError> {
        let (first, rest) = answer.body.split_at(answer.body.len().min(most));
        let mut record = encode(&Self {
            status: answer.status,
            headers: answer.headers.clone(),
            body_bytes: answer.body.len(),
            pieces: u32::try_from(rest.len().div_ceil(PIECE_BYTES))
                .map_err(|_| LedgerError::TooLarge)?,
            expires_ms,
        })?;
        if !first.is_empty() {
            record.push(HEAD_END);
            record.extend_from_slice(first);
        }
        Ok((record, rest))
    }
}

impl Batch<'_> {
    /// Keeps an answer until `expires_ms`, in place of one kept before.
    pub(super) fn store_answer(
        &mut self,
        call: &CallId,
        answer: &Answer,
        expires_ms: u64,
    ) -> Result<(), LedgerError> {
        self.writable()?;
        if answer.body.len() > BODY_BYTES_MAX {
            return Err(LedgerError::TooLarge);
        }
        if self
            .bytes_of(&keys::state(&EntityId::Call(*call)))?
            .is_none()
        {
            return Err(LedgerError::Unknown(EntityId::Call(*call)));
        }
        let before = self.answer_head(call)?;
        let (mut head, mut rest) = AnswerHead::encode(answer, expires_ms, PIECE_BYTES)?;
        if head.len() > RECORD_BYTES_MAX {
            (head, rest) = AnswerHead::encode(answer, expires_ms, 0)?;
        }
        if head.len() > RECORD_BYTES_MAX {
            return Err(LedgerError::TooLarge);
        }
        if let Some(before) = before {
            self.drop_answer(call, &before);
        }
        self.put(keys::answer(call), head);
        self.put(keys::expiry(expires_ms, call), Vec::new());
        for (number, piece) in (0u32..).zip(rest.chunks(PIECE_BYTES)) {
            self.put(keys::answer_piece(call, number), piece.to_vec());
        }
        Ok(())
    }

    /// The answer kept for a call, unless it has expired.
    pub(super) fn answer(&self, call: &CallId, now_ms: u64) -> Result<Option<Answer>, LedgerError> {
        let Some(record) = self.bytes_of(&keys::answer(call))? else {
            return Ok(None);
        };
        let (head, first) = AnswerHead::decode(&record)?;
        if head.expires_ms <= now_ms {
            return Ok(None);
        }
        let mut body = first.to_vec();
        for number in 0..head.pieces {
            let piece = self.bytes_of(&keys::answer_piece(call, number))?;
            body.extend(piece.unwrap_or_default());
        }
        if body.len() != head.body_bytes {
            return Err(LedgerError::Corrupt(format!(
                "the answer of {call} is incomplete"
            )));
        }
        Ok(Some(Answer {
            status: head.status,
            headers: head.headers,
            body,
        }))
    }

    /// Forgets up to [`PURGE_PAGE`] answers that expired by `now_ms`, oldest first; says how many.
    pub(super) fn purge_expired(&mut self, now_ms: u64) -> Result<usize, LedgerError> {
        self.writable()?;
        let mut expired = Vec::new();
        for (key, _) in self.scan(keys::EXPIRIES, PURGE_PAGE)? {
            let rest = key.get(keys::EXPIRIES.len()..).unwrap_or_default();
            let parsed = rest.split_first_chunk::<8>().and_then(|(ms, id)| {
                let call: CallId = std::str::from_utf8(id).ok()?.parse().ok()?;
                Some((u64::from_be_bytes(*ms), call))
            });
            let (expires_ms, call) = parsed
                .ok_or_else(|| LedgerError::Corrupt("an expiry names no answer".to_owned()))?;
            if expires_ms > now_ms {
                break;
            }
            expired.push((key, call, self.answer_head(&call)?));
        }
        let count = expired.len();
        for (key, call, head) in expired {
            self.delete(key);
            if let Some(head) = head {
                self.drop_answer(&call, &head);
            }
        }
        Ok(count)
    }

    fn answer_head(&self, call: &CallId) -> Result<Option<AnswerHead>, LedgerError> {
        let record = self.bytes_of(&keys::answer(call))?;
        let head = record.map(|record| Ok(AnswerHead::decode(&record)?.0));
        head.transpose()
    }

    fn drop_answer(&mut self, call: &CallId, head: &AnswerHead) {
        self.delete(keys::answer(call));
        self.delete(keys::expiry(head.expires_ms, call));
        for number in 0..head.pieces {
            self.delete(keys::answer_piece(call, number));
        }
    }
}
