//! One commit as bytes: whole blocks under a checksum, bound to one opening of the ledger and
//! numbered without a gap, so that nothing torn, stale or misplaced passes for one.

use crate::ledger::machine::Digest32;
use crate::ledger::store::{Head, Write};
use serde::{Deserialize, Serialize};

/// Records begin and end with blocks, so that a torn write harms no record but its own.
pub(super) const BLOCK: usize = 4096;

const FILE_MAGIC: &[u8; 8] = b"groatJF1";
const RECORD_MAGIC: &[u8; 8] = b"groatJR1";
/// The magic, the checksum, and the length of what the checksum covers beside itself.
const SEAL_BYTES: usize = 16;
const DELETE: u8 = 0;
const PUT: u8 = 1;

/// One opening of a ledger, by a random number: what an earlier one left in a file is not this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Life(pub(in crate::ledger) u128);

/// One commit.
pub(in crate::ledger) struct Record {
    /// Its number in its life, from 0 on.
    pub(super) number: u64,
    /// The log's head before it.
    pub(in crate::ledger) expected: Head,
    /// What it changes, in order.
    pub(in crate::ledger) writes: Vec<Write>,
}

/// Writes one record into `bytes`, whatever was there before; says no when it is longer than any file.
pub(super) fn encode(
    bytes: &mut Vec<u8>,
    life: Life,
    number: u64,
    expected: Head,
    writes: &[Write],
) -> bool {
    seal(bytes, RECORD_MAGIC, life, number, |bytes| {
        bytes.extend_from_slice(&expected.seq.to_le_bytes());
        bytes.extend_from_slice(expected.hash.as_bytes());
        writes.iter().all(|write| match write {
            Write::Put { key, value } => {
                bytes.push(PUT);
                sized(bytes, key) && sized(bytes, value)
            }
            Write::Delete { key } => {
                bytes.push(DELETE);
                sized(bytes, key)
            }
        })
    })
}

/// The record of `life` that begins `bytes`, and how many bytes it takes; nothing if there is none.
pub(super) fn decode(bytes: &[u8], life: Life) -> Option<(Record, usize)> {
    let (number, mut content, length) = unseal(bytes, RECORD_MAGIC, life)?;
    let seq = u64::from_le_bytes(content.array()?);
    let hash = Digest32::from_bytes(content.array()?);
    let mut writes = Vec::new();
    while let Some(kind) = content.array::<1>() {
        let key = content.sized()?;
        writes.push(match kind {
            [PUT] => Write::Put {
                key,
                value: content.sized()?,
            },
            [DELETE] => Write::Delete { key },
            _ => return None,
        });
    }
    let record = Record {
        number,
        expected: Head { seq, hash },
        writes,
    };
    Some((record, length))
}

/// The first block of a file: whose file it is, and which of the two.
pub(super) fn encode_header(life: Life, which: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    seal(&mut bytes, FILE_MAGIC, life, which, |_| true);
    bytes
}

/// Whether `bytes` begin with that block.
pub(super) fn has_header(bytes: &[u8], life: Life, which: u64) -> bool {
    unseal(bytes, FILE_MAGIC, life).is_some_and(|(number, ..)| number == which)
}

/// magic ‖ CRC-32 of all that follows but the padding ‖ length ‖ life ‖ number ‖ content ‖ zeros.
fn seal(
    bytes: &mut Vec<u8>,
    magic: &[u8; 8],
    life: Life,
    number: u64,
    content: impl FnOnce(&mut Vec<u8>) -> bool,
) -> bool {
    bytes.clear();
    bytes.extend_from_slice(&[0; SEAL_BYTES]);
    bytes.extend_from_slice(&life.0.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let complete = content(bytes);
    let Some((head, body)) = bytes.split_first_chunk_mut::<SEAL_BYTES>() else {
        return false;
    };
    let Ok(length) = u32::try_from(body.len()) else {
        return false;
    };
    let length = length.to_le_bytes();
    let checksum = checksum(&length, body).to_le_bytes();
    for (slot, byte) in head
        .iter_mut()
        .zip(magic.iter().chain(&checksum).chain(&length))
    {
        *slot = *byte;
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    complete
}

fn unseal<'a>(bytes: &'a [u8], magic: &[u8; 8], life: Life) -> Option<(u64, Reader<'a>, usize)> {
    let mut reader = Reader(bytes);
    if reader.array()? != *magic {
        return None;
    }
    let stored = u32::from_le_bytes(reader.array()?);
    let length = reader.array::<4>()?;
    let body = reader.take(u32::from_le_bytes(length) as usize)?;
    let mut content = Reader(body);
    if u128::from_le_bytes(content.array()?) != life.0 || checksum(&length, body) != stored {
        return None;
    }
    let number = u64::from_le_bytes(content.array()?);
    let taken = SEAL_BYTES.checked_add(body.len())?;
    Some((number, content, taken.checked_next_multiple_of(BLOCK)?))
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(length);
    crc.update(body);
    crc.finalize()
}

fn sized(bytes: &mut Vec<u8>, part: &[u8]) -> bool {
    let Ok(length) = u32::try_from(part.len()) else {
        return false;
    };
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(part);
    true
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn sized(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize).map(<[u8]>::to_vec)
    }
}
