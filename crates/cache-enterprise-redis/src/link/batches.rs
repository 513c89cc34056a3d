//! How the keys of one batch are asked for: one `MGET`, or one for each slot.

use bytes::Bytes;
use cache_enterprise_core::{Error, Result, StoredKey};
use redis::{Cmd, Value};

use super::bytes_of;
use super::cluster::groups::Groups;
use super::lane::Wire;
use super::reader::{Answer, Answers, Fetch};
use crate::error;
use crate::key::RedisKey;

/// The batches of one connection.
pub(crate) struct Batches {
    pub(crate) wire: Wire,
    /// A command may name keys of one slot only.
    pub(crate) by_slot: bool,
}

impl Fetch for Batches {
    fn fetch_all(&self, keys: Vec<StoredKey>) -> Answers {
        let (wire, by_slot) = (self.wire.clone(), self.by_slot);
        Box::pin(async move {
            match &keys[..] {
                [key] => vec![get(&wire, key).await],
                _ if by_slot => each(&keys, by_groups(&wire, &keys).await),
                _ => each(&keys, together(&wire, &keys).await),
            }
        })
    }

    fn fault(&self) -> Error {
        self.wire.fault()
    }
}

/// Reads one key by itself.
pub(crate) async fn get(wire: &Wire, key: &StoredKey) -> Answer {
    bytes_of(wire.read(redis::cmd("GET").arg(RedisKey::of(key))).await?)
}

async fn together(wire: &Wire, keys: &[StoredKey]) -> Result<Vec<Answer>> {
    let records = found(wire.read(&mget(keys)).await?, keys.len())?;
    Ok(records.into_iter().map(Ok).collect())
}

/// Reads keys, each slot with a command of its own.
pub(crate) async fn by_groups(wire: &Wire, keys: &[StoredKey]) -> Result<Vec<Answer>> {
    let groups = Groups::of(keys);
    Ok(groups.scatter(wire.read_all(&groups.pipeline()).await?))
}

/// What fails for a whole batch fails for each of its keys.
pub(crate) fn each(keys: &[StoredKey], answers: Result<Vec<Answer>>) -> Vec<Answer> {
    answers.unwrap_or_else(|fault| keys.iter().map(|_| Err(fault.clone())).collect())
}

/// The command that reads keys of one slot.
pub(crate) fn mget(keys: &[StoredKey]) -> Cmd {
    let mut command = redis::cmd("MGET");
    for key in keys {
        command.arg(RedisKey::of(key));
    }
    command
}

/// What it answered for so many keys.
pub(crate) fn found(reply: Value, count: usize) -> Result<Vec<Option<Bytes>>> {
    match reply {
        Value::Array(found) if found.len() == count => found.into_iter().map(bytes_of).collect(),
        _ => Err(error::strange_reply()),
    }
}
