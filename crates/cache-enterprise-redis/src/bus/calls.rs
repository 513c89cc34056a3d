//! What the bus sends, and how places of the log are written.

use bytes::Bytes;
use cache_enterprise_core::Result;
use cache_enterprise_core::coherence::LogId;
use redis::{Cmd, Value};

use crate::error;
use crate::functions::{Function, Invoke};
use crate::names::BusNames;
use crate::servers::Servers;

/// The field of an entry that holds the frame.
pub(super) const FRAME: &[u8] = b"f";

/// One frame on its way into the log and to the listeners.
pub(super) struct Publish<'a> {
    names: &'a BusNames,
    frame: Bytes,
    entries: usize,
    command: &'static str,
}

impl<'a> Publish<'a> {
    pub(super) fn of(servers: &Servers, names: &'a BusNames, frame: Bytes, entries: usize) -> Self {
        // In a cluster the other one goes to every node.
        let command = if servers.link.is_sharded() { "SPUBLISH" } else { "PUBLISH" };
        Self { names, frame, entries, command }
    }

    pub(super) async fn call(&self, servers: &Servers) -> Result<LogId> {
        match servers.call(self).await? {
            Value::BulkString(text) => place(&text).ok_or_else(error::strange_reply),
            _ => Err(error::strange_reply()),
        }
    }
}

impl Invoke for Publish<'_> {
    fn function(&self) -> Function {
        Function::Publish
    }

    fn slot(&self) -> u16 {
        self.names.slot
    }

    fn write(&self, command: &mut Cmd) {
        command.arg(2).arg(&self.names.log).arg(&self.names.tail);
        command.arg(&self.names.channel).arg(&self.frame[..]).arg(self.entries).arg(self.command);
    }

    fn payload(&self) -> usize {
        self.frame.len()
    }
}

/// A push: its place, that of the entry before it where the server knew it, the frame.
pub(super) fn read_push(payload: Value) -> Option<(LogId, Option<LogId>, Bytes)> {
    let Value::BulkString(payload) = payload else { return None };
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&payload[..end]).ok()?;
    let (at, before) = head.split_once(' ')?;
    let (at, before) = (place(at.as_bytes())?, place(before.as_bytes()));
    Some((at, before, Bytes::from(payload).slice(end + 1..)))
}

/// The id of an entry, as Redis writes it: `1700000000000-0`.
pub(super) fn place(text: &[u8]) -> Option<LogId> {
    let (millis, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
    Some(LogId(millis.parse().ok()?, number.parse().ok()?))
}

pub(super) fn text_of(LogId(millis, number): LogId) -> String {
    format!("{millis}-{number}")
}

/// Entries as `XRANGE` gives them. One without a frame is somebody else's: `None`.
pub(super) fn read_entries(answer: Value) -> Result<Vec<(LogId, Option<Bytes>)>> {
    let Value::Array(entries) = answer else { return Err(error::strange_reply()) };
    entries.into_iter().map(|entry| read_entry(entry).ok_or_else(error::strange_reply)).collect()
}

fn read_entry(entry: Value) -> Option<(LogId, Option<Bytes>)> {
    let Value::Array(parts) = entry else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let frame = match <[Value; 2]>::try_from(fields) {
        Ok([Value::BulkString(name), Value::BulkString(frame)]) if name == FRAME => {
            Some(Bytes::from(frame))
        }
        _ => None,
    };
    Some((place(&id)?, frame))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_push_is_two_places_and_a_frame_of_any_bytes() {
        let push = read_push(Value::BulkString(b"17-2 17-1\n\xff\n\0".to_vec())).unwrap();
        assert_eq!(push, (LogId(17, 2), Some(LogId(17, 1)), Bytes::from_static(b"\xff\n\0")));
        let first = read_push(Value::BulkString(b"17-0 -\n".to_vec())).unwrap();
        assert_eq!(first, (LogId(17, 0), None, Bytes::new()));
        for strange in [&b""[..], b"17-2 17-1", b"17-2\nx", b"a-b -\n", b"\xff \n", b"17 16\nx"] {
            assert_eq!(read_push(Value::BulkString(strange.to_vec())), None, "{strange:?}");
        }
    }

    #[test]
    fn a_place_comes_back_from_its_text() {
        for at in [LogId(0, 0), LogId(1_700_000_000_000, 7), LogId(u64::MAX, u64::MAX)] {
            assert_eq!(place(text_of(at).as_bytes()), Some(at));
        }
        assert_eq!(place(b"-"), None);
    }

    #[test]
    fn entries_are_read_and_foreign_ones_are_known() {
        let text = |text: &str| Value::BulkString(text.into());
        let entry = |id: &str, fields: &[&str]| {
            let fields = fields.iter().map(|field| text(field)).collect();
            Value::Array(vec![text(id), Value::Array(fields)])
        };
        let answer = vec![entry("1-0", &["f", "Ada"]), entry("2-0", &["g", "x", "f", "y"])];
        let read = read_entries(Value::Array(answer)).unwrap();
        assert_eq!(read, [(LogId(1, 0), Some(Bytes::from("Ada"))), (LogId(2, 0), None)]);
        assert!(read_entries(Value::Okay).is_err());
        assert!(read_entries(Value::Array(vec![Value::Nil])).is_err());
    }
}
