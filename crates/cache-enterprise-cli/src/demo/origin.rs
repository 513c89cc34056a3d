//! What the cache stands before: a source of truth that takes its time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::item::Item;
use super::requests::{Ask, Plan};

/// The origin of all items. A row is its number of writes; the text follows from the key.
#[derive(Debug)]
pub(crate) struct Origin {
    latency: Duration,
    rows: Vec<Mutex<HashMap<u64, Row>>>,
    /// One writer of a row at a time, as a database's row lock has it.
    locks: Vec<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    written: u32,
    acknowledged: u32,
}

const SHARDS: usize = 256;

impl Origin {
    pub(crate) fn new(latency: Duration) -> Self {
        Self {
            latency,
            rows: (0..SHARDS).map(|_| Mutex::default()).collect(),
            locks: (0..SHARDS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    /// Loads what `ask` asks for.
    pub(crate) async fn load(&self, plan: &Plan, ask: &Ask) -> Item {
        let item = self.read(plan, ask);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        item
    }

    /// Holds the row of `ask` for a write.
    pub(crate) async fn lock(&self, ask: &Ask) -> tokio::sync::MutexGuard<'_, ()> {
        self.locks[shard(ask.object)].lock().await
    }

    /// Writes the row and gives the new item. The caller holds [`lock`](Self::lock).
    pub(crate) fn write(&self, plan: &Plan, ask: &Ask) -> Item {
        self.row(ask, |row| row.written += 1);
        self.read(plan, ask)
    }

    /// From here on nobody may be answered with an older revision.
    pub(crate) fn acknowledge(&self, ask: &Ask, revision: u32) {
        self.row(ask, |row| row.acknowledged = row.acknowledged.max(revision));
    }

    /// The oldest revision that may answer a question asked now.
    pub(crate) fn acknowledged(&self, ask: &Ask) -> u32 {
        let rows = self.rows[shard(ask.object)].lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&ask.object).map_or(0, |row| row.acknowledged)
    }

    fn read(&self, plan: &Plan, ask: &Ask) -> Item {
        let revision = {
            let rows = self.rows[shard(ask.object)].lock().unwrap_or_else(PoisonError::into_inner);
            rows.get(&ask.object).map_or(0, |row| row.written)
        };
        Item {
            tenant: plan.tenant_name(ask).to_owned(),
            key: ask.key.0.to_string(),
            revision,
            body: plan.body(ask),
        }
    }

    fn row(&self, ask: &Ask, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows[shard(ask.object)].lock().unwrap_or_else(PoisonError::into_inner);
        change(rows.entry(ask.object).or_default());
    }
}

fn shard(object: u64) -> usize {
    (object.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % SHARDS
}
