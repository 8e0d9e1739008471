//! Blocks that were there before: whether they still are, and when that no longer needs asking.

use super::job::{LaneEventKind, Outcome};
use super::lane::Lane;
use super::look::Sky;
use super::work::{Mined, Stage};
use crate::chain::{ChainError, Head};
use alloy::primitives::{B256, U64};
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Lane {
    /// Checks, once for each new head, that every watched block is still in its place.
    pub(super) async fn watch(&mut self, sky: &Sky) -> Result<(), ChainError> {
        if self.watched_head == Some(sky.head.hash()) {
            return Ok(());
        }
        let mut blocks: BTreeMap<(u64, B256), Vec<u64>> = BTreeMap::new();
        for (seq, work) in &self.works {
            if let Some(mined) = work.mined() {
                let block = (mined.block, mined.block_hash);
                blocks.entry(block).or_default().push(*seq);
            }
        }
        let params: Vec<_> = blocks
            .keys()
            .map(|(number, _)| (U64::from(*number), false))
            .collect();
        let answers = self
            .rpc
            .many::<_, Option<Head>>("eth_getBlockByNumber", &params)
            .await?;
        let mut all_in_place = true;
        for (((number, hash), seqs), answer) in blocks.into_iter().zip(answers) {
            let there = answer?.map(|block| block.hash());
            for seq in seqs {
                match there {
                    Some(there) if there == hash => self.in_place(seq, number, sky).await,
                    Some(_) => self.reorged(seq).await,
                    None => {
                        all_in_place = false;
                        self.missing(seq).await;
                    }
                }
            }
        }
        self.watched_head = all_in_place.then(|| sky.head.hash());
        Ok(())
    }

    async fn in_place(&mut self, seq: u64, block: u64, sky: &Sky) {
        let depth = self.policy.final_depth.max(self.policy.confirmations);
        let told = self.works.get_mut(&seq).is_some_and(|work| {
            if let Stage::Mined(mined) = &mut work.stage {
                mined.missing_since = None;
            }
            work.told
        });
        if told && sky.head.number() >= block.saturating_add(depth) {
            self.emit(seq, LaneEventKind::Final).await;
            self.remove(seq);
        }
    }

    /// A node that is behind does not have the block either: believed only when it stays so.
    async fn missing(&mut self, seq: u64) {
        let doubt = self.policy.doubt;
        let Some(work) = self.works.get_mut(&seq) else {
            return;
        };
        let Stage::Mined(mined) = &mut work.stage else {
            return;
        };
        let since = *mined.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= doubt {
            self.reorged(seq).await;
        }
    }

    async fn reorged(&mut self, seq: u64) {
        let Some(work) = self.works.get_mut(&seq) else {
            return;
        };
        let Some(transaction) = work.mined().map(|mined| mined.transaction) else {
            return;
        };
        let told = work.told;
        work.unmine(transaction, self.relayer, self.policy.bump_after);
        self.moved = true;
        if told {
            self.emit(seq, LaneEventKind::Reorged { transaction }).await;
        }
    }

    /// Tells the outcomes that have the wanted confirmations.
    pub(super) async fn tell_outcomes(&mut self, sky: &Sky) {
        let confirmations = self.policy.confirmations;
        let deep = |mined: &Mined| {
            sky.head.number().saturating_add(1) >= mined.block.saturating_add(confirmations)
        };
        let ready: Vec<(u64, Outcome)> = self
            .works
            .iter()
            .filter(|(_, work)| !work.told)
            .filter_map(|(seq, work)| Some((*seq, work.mined().filter(|m| deep(m))?)))
            .map(|(seq, mined)| (seq, mined.outcome.clone()))
            .collect();
        for (seq, outcome) in ready {
            self.tell(seq, outcome).await;
        }
    }
}
