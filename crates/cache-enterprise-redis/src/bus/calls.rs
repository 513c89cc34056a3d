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
    /// What listeners are pushed beside it, and the log does not get.
    values: Bytes,
    entries: usize,
    command: &'static str,
}

impl<'a> Publish<'a> {
    pub(super) fn of(
        servers: &Servers,
        names: &'a BusNames,
        (frame, values): (Bytes, Bytes),
        entries: usize,
    ) -> Self {
        // In a cluster the other one goes to every node.
        let command = if servers.link.is_sharded() { "SPUBLISH" } else { "PUBLISH" };
        Self { names, frame, values, entries, command }
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
        command.arg(&self.values[..]);
    }

    fn payload(&self) -> usize {
        self.frame.len() + self.values.len()
    }
}

/// A push: its place, that of the entry before it where the server knew it, the frame, and the
/// values beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) at: LogId,
    pub(super) before: Option<LogId>,
    pub(super) frame: Bytes,
    pub(super) values: Bytes,
}

pub(super) fn read_push(payload: Value) -> Option<Push> {
    let Value::BulkString(payload) = payload else { return None };
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let mut head = std::str::from_utf8(&payload[..end]).ok()?.split(' ');
    let (at, before) = (place(head.next()?.as_bytes())?, place(head.next()?.as_bytes()));
    let length = head.next().map(|length| length.parse::<usize>().ok());
    let mut frame = Bytes::from(payload).slice(end + 1..);
    let values = match length {
        Some(length) if length? <= frame.len() => frame.split_off(length?),
        Some(_) => return None,
        None => Bytes::new(),
    };
    Some(Push { at, before, frame, values })
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
        let read = |payload: &[u8]| read_push(Value::BulkString(payload.to_vec()));
        let push = |before, frame: &'static [u8], values: &'static [u8]| Push {
            at: LogId(17, 2),
            before,
            frame: Bytes::from_static(frame),
            values: Bytes::from_static(values),
        };
        let before = Some(LogId(17, 1));
        assert_eq!(read(b"17-2 17-1\n\xff\n\0"), Some(push(before, b"\xff\n\0", b"")));
        assert_eq!(read(b"17-2 -\n"), Some(push(None, b"", b"")));
        assert_eq!(read(b"17-2 17-1 2\na\n\xff\0"), Some(push(before, b"a\n", b"\xff\0")));
        let strange = [&b""[..], b"17-2 17-1", b"17-2\nx", b"a-b -\n", b"\xff \n", b"17 16\nx"];
        let lengths = [&b"17-2 17-1 2\nx"[..], b"17-2 17-1 -1\nx", b"17-2 17-1 \nx"];
        for strange in strange.into_iter().chain(lengths) {
            assert_eq!(read(strange), None, "{strange:?}");
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
