//! Keys of one read, parted by slot: a command with several keys takes keys of one slot only.

use cache_enterprise_core::{Result, StoredKey};
use redis::{Pipeline, Value};

use crate::error;
use crate::key::RedisKey;
use crate::link::bytes_of;
use crate::link::reader::Answer;

use super::slots::slot_of_key;

/// Places of keys in a read, by slot.
#[derive(Debug)]
pub(in crate::link) struct Groups<'a> {
    keys: &'a [StoredKey],
    /// Slot and place, sorted: a run of one slot is a group.
    places: Vec<(u16, usize)>,
}

impl<'a> Groups<'a> {
    pub(in crate::link) fn of(keys: &'a [StoredKey]) -> Self {
        let slot = |(place, key): (usize, &StoredKey)| (slot_of_key(key), place);
        let mut places: Vec<_> = keys.iter().enumerate().map(slot).collect();
        places.sort_unstable();
        Self { keys, places }
    }

    fn runs(&self) -> impl Iterator<Item = &[(u16, usize)]> {
        self.places.chunk_by(|a, b| a.0 == b.0)
    }

    /// One `MGET` for each slot.
    pub(in crate::link) fn pipeline(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        for run in self.runs() {
            let command = pipeline.cmd("MGET");
            for (_, place) in run {
                command.arg(RedisKey::of(&self.keys[*place]));
            }
        }
        pipeline
    }

    /// The answer to each key, in the order of the keys. An error of one slot, such as a redirect,
    /// is that of its keys and of no other.
    pub(in crate::link) fn scatter(&self, replies: Vec<Result<Value>>) -> Vec<Answer> {
        let missing = || Err(error::strange_reply());
        let mut answers: Vec<Answer> = self.keys.iter().map(|_| missing()).collect();
        for (run, reply) in self.runs().zip(replies) {
            match reply {
                Ok(Value::Array(found)) if found.len() == run.len() => {
                    for ((_, place), value) in run.iter().zip(found) {
                        answers[*place] = bytes_of(value);
                    }
                }
                Ok(_) => {}
                Err(fault) => {
                    for (_, place) in run {
                        answers[*place] = Err(fault.clone());
                    }
                }
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn keys(count: u32) -> Vec<StoredKey> {
        let space = KeySpace::new("shop", "acme", "users").unwrap();
        (0..count).map(|number| space.key(&number).unwrap()).collect()
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn each_slot_has_one_command_and_each_key_its_answer() {
        let keys = keys(200);
        let groups = Groups::of(&keys);
        let pipeline = groups.pipeline();
        assert_eq!(pipeline.len(), 16, "a tenant lies in sixteen buckets");
        let mut asked = 0;
        let replies = groups.runs().map(|run| {
            asked += run.len();
            let slot = slot_of_key(&keys[run[0].1]);
            assert!(run.iter().all(|(_, place)| slot_of_key(&keys[*place]) == slot));
            Ok(Value::Array(run.iter().map(|(_, place)| text(keys[*place].as_str())).collect()))
        });
        let replies = replies.collect();
        let answers = groups.scatter(replies);
        assert_eq!(asked, 200);
        for (key, answer) in keys.iter().zip(answers) {
            assert_eq!(answer.unwrap().unwrap(), key.as_str().as_bytes());
        }
    }

    #[test]
    fn a_failed_slot_fails_its_keys_and_short_replies_give_no_answer() {
        let keys = keys(64);
        let groups = Groups::of(&keys);
        let lengths: Vec<usize> = groups.runs().map(<[_]>::len).collect();
        let replies = lengths.iter().enumerate().map(|(slot, length)| match slot {
            0 => Err(error::late("the server did not answer in time")),
            1 => Ok(Value::Array(vec![Value::Nil; length - 1])),
            _ => Ok(Value::Array(vec![Value::Nil; *length])),
        });
        let replies = replies.collect();
        let answers = groups.scatter(replies);
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(failed, lengths[0] + lengths[1]);
        assert!(groups.scatter(Vec::new()).iter().all(Result::is_err));
    }
}
