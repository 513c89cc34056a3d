//! What the server tells of keys that were changed, by whomever (`CLIENT TRACKING`).
//!
//! The server names keys and says nothing of who changed them, or to what: a level's own writes
//! are among them, its removals, and what it evicts or lets expire. So what stands under a named
//! key is asked for, as far as its head, and the version tells what there is to end.

use cache_enterprise_core::StoredKey;
use redis::Value;

use crate::key::stored_key;

/// Heads that are asked for together.
pub(super) const HEADS_AT_ONCE: usize = 256;

/// Keys that one message or several named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Every key was: the server was flushed.
    pub(super) all: bool,
    pub(super) keys: Vec<StoredKey>,
}

impl Named {
    /// Adds what a message names. What is no key of an entry is somebody else's, or a record.
    pub(super) fn add(&mut self, message: Vec<Value>) {
        let Some(Value::Array(keys)) = message.into_iter().next() else {
            self.all = true;
            return;
        };
        let listed = keys.iter().filter_map(|key| match key {
            Value::BulkString(key) => stored_key(key),
            _ => None,
        });
        self.keys.extend(listed);
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.keys.is_empty()
    }

    /// The keys, each once.
    pub(super) fn into_keys(mut self) -> Vec<StoredKey> {
        self.keys.sort_unstable();
        self.keys.dedup();
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn entries_are_taken_from_a_message_once_each_and_records_are_not() {
        let mut named = Named::default();
        assert!(named.is_empty());
        let entry = "{shop:acme:0}shop:acme:users:1";
        let records = ["{shop:}log", "{shop:acme}epochs", "{shop:acme:0}lease/shop:acme:users:1"];
        named.add(vec![Value::Array(records.map(text).to_vec())]);
        assert!(named.is_empty());
        named.add(vec![Value::Array(vec![text(entry), Value::Int(1), text("other")])]);
        named.add(vec![Value::Array(vec![text(entry)])]);
        let keys: Vec<_> = named.into_keys().iter().map(StoredKey::to_string).collect();
        assert_eq!(keys, ["shop:acme:users:1"]);
    }

    #[test]
    fn a_message_without_keys_names_all() {
        for message in [vec![Value::Nil], vec![]] {
            let mut named = Named::default();
            named.add(message);
            assert!(named.all && !named.is_empty());
        }
    }
}
