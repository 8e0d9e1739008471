//! How often coin was given for approvals, and to whom, in the last day. It is kept in a file, so that a
//! restart begins no new count: what may be given away is a figure of a day, not of a process.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How often one payer is given coin in a day.
const PAYER_MAX: usize = 3;

/// How often payers are given coin in an hour, all together.
const HOUR_MAX: usize = 60;

const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The file in the data folder.
const FILE: &str = "given-coin.json";

/// The coin that was given in the last day.
#[derive(Debug)]
pub(super) struct Given {
    file: PathBuf,
    coins: Mutex<Vec<Coin>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Coin {
    to: Address,
    at_ms: u64,
}

/// Why no more is given now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Full {
    /// It was given often enough.
    #[error("coin was given often enough lately")]
    Often,
    /// It could not be written down, and what is not counted is not given.
    #[error("the count of given coin cannot be written: {0}")]
    Unwritten(io::Error),
}

impl Given {
    /// Reads what earlier lives of the process gave; fails when that cannot be known.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE);
        let coins = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let coins = Mutex::new(coins);
        Ok(Self { file, coins })
    }

    /// Counts that coin is given, durably, if that was not done too often.
    pub(super) fn count(&self, to: Address, now_ms: u64) -> Result<(), Full> {
        let mut coins = self.coins.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |coin: &Coin, ms| coin.at_ms.saturating_add(ms) > now_ms;
        let mut kept: Vec<Coin> = coins.clone();
        kept.retain(|coin| within(coin, DAY_MS));
        let lately = kept.iter().filter(|coin| within(coin, HOUR_MS)).count();
        let to_payer = kept.iter().filter(|coin| coin.to == to).count();
        if lately >= HOUR_MAX || to_payer >= PAYER_MAX {
            return Err(Full::Often);
        }
        kept.push(Coin { to, at_ms: now_ms });
        self.write(&kept).map_err(Full::Unwritten)?;
        *coins = kept;
        Ok(())
    }

    fn write(&self, coins: &[Coin]) -> io::Result<()> {
        let anew = self.file.with_extension("new");
        let mut file = File::create(&anew)?;
        file.write_all(&serde_json::to_vec(coins)?)?;
        file.sync_all()?;
        fs::rename(&anew, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYER: Address = Address::repeat_byte(1);

    fn given(folder: &Path) -> Given {
        Given::open(folder).expect("a folder")
    }

    #[test]
    fn rule_13_a_payer_is_given_coin_thrice_a_day_whatever_restarts_between() {
        let folder = tempfile::tempdir().expect("a folder");
        for turn in 0..3 {
            let counted = given(folder.path()).count(PAYER, DAY_MS + turn * HOUR_MS);
            assert!(counted.is_ok(), "{turn}: {counted:?}");
        }
        let again = given(folder.path());
        let count = |at_ms| again.count(PAYER, at_ms);
        assert!(matches!(count(2 * DAY_MS - 1), Err(Full::Often)));
        assert!(again.count(Address::ZERO, 2 * DAY_MS - 1).is_ok());
        assert!(count(2 * DAY_MS).is_ok(), "the first is a day old");
        assert!(matches!(count(2 * DAY_MS), Err(Full::Often)));
    }

    #[test]
    fn rule_13_payers_are_given_coin_sixty_times_an_hour() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = |n: u8| Address::repeat_byte(n);
        for n in 0..60 {
            assert!(given(folder.path()).count(to(n), u64::from(n)).is_ok());
        }
        let again = given(folder.path());
        assert!(matches!(again.count(to(60), HOUR_MS - 1), Err(Full::Often)));
        assert!(again.count(to(60), HOUR_MS).is_ok());
    }

    #[test]
    fn what_cannot_be_counted_is_not_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gone");
        let given = given(&path);
        assert!(matches!(given.count(PAYER, 1), Err(Full::Unwritten(_))));
        fs::create_dir(&path).expect("a folder");
        assert!(given.count(PAYER, 1).is_ok());
        fs::write(path.join(FILE), "no list").expect("a file");
        assert!(Given::open(&path).is_err());
    }
}
