//! What one node of a cluster says about who serves which slots.

use redis::Value;

use super::slots::SLOTS;
use crate::address::Endpoint;

/// Reads the `host:port` of a redirect that the node at `asked` gave: IPv6 hosts come without
/// brackets, and a node that was not told its name leaves the host out.
pub(super) fn redirected(text: &str, asked: &Endpoint) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(endpoint(host, port.parse().ok()?, asked))
}

/// A node at `host`, or where we asked when it names no host. "?" is what a node says that should
/// announce a host name and has none.
fn endpoint(host: &str, port: u16, asked: &Endpoint) -> Endpoint {
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    Endpoint { host: host.to_owned(), port }
}

/// Slots in a row that one master serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Endpoint,
    pub(super) replicas: Vec<Endpoint>,
}

/// One node's answer to `CLUSTER SLOTS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) ranges: Vec<Range>,
}

impl View {
    /// Reads the answer of the node at `asked`. `None` when it is no such answer: a node that
    /// talks nonsense is one that did not answer.
    pub(super) fn read(answer: &Value, asked: &Endpoint) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let ranges = ranges.iter().map(|range| read_range(range, asked)).collect::<Option<_>>()?;
        Some(Self { ranges })
    }
}

fn read_range(range: &Value, asked: &Endpoint) -> Option<Range> {
    let Value::Array(fields) = range else { return None };
    let [first, last, nodes @ ..] = fields.as_slice() else { return None };
    let (first, last) = (read_slot(first)?, read_slot(last)?);
    if first > last {
        return None;
    }
    let mut nodes = nodes.iter().map(|node| read_node(node, asked));
    let master = nodes.next()??;
    let replicas = nodes.collect::<Option<Vec<_>>>()?;
    Some(Range { first, last, master, replicas })
}

fn read_slot(slot: &Value) -> Option<u16> {
    let Value::Int(slot) = slot else { return None };
    u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS)
}

fn read_node(node: &Value, asked: &Endpoint) -> Option<Endpoint> {
    let Value::Array(fields) = node else { return None };
    let [host, Value::Int(port), ..] = fields.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    Some(endpoint(host, u16::try_from(*port).ok()?, asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(Vec::new())])
    }

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    fn asked() -> Endpoint {
        at("asked", 1)
    }

    #[test]
    fn an_answer_is_read_with_the_host_asked_where_none_is_named() {
        let answer = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(9),
                node(text("a"), 7),
                node(text("b"), 8),
            ]),
            Value::Array(vec![Value::Int(10), Value::Int(10), node(Value::Nil, 9)]),
            Value::Array(vec![Value::Int(11), Value::Int(16_383), node(text("?"), 9)]),
        ]);
        let view = View::read(&answer, &asked()).expect("a proper answer");
        assert_eq!(view.ranges.len(), 3);
        assert_eq!(view.ranges[0].master, at("a", 7));
        assert_eq!(view.ranges[0].replicas, [at("b", 8)]);
        assert_eq!(view.ranges[1].master, at("asked", 9));
        assert_eq!(view.ranges[2].master, at("asked", 9));
    }

    #[test]
    fn nonsense_is_no_answer() {
        let range = |first, last, port| {
            let fields = vec![Value::Int(first), Value::Int(last), node(text("a"), port)];
            Value::Array(vec![Value::Array(fields)])
        };
        assert!(View::read(&range(0, 1, 7), &asked()).is_some());
        for answer in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1)])]),
            range(2, 1, 7),
            range(-1, 1, 7),
            range(0, 16_384, 7),
            range(0, 1, 65_536),
        ] {
            assert_eq!(View::read(&answer, &asked()), None, "{answer:?}");
        }
    }

    #[test]
    fn redirects_name_a_node_or_the_host_asked() {
        let read = |text| redirected(text, &asked()).map(|node| (node.host, node.port));
        assert_eq!(read("10.0.0.7:7001"), Some(("10.0.0.7".into(), 7001)));
        assert_eq!(read("::1:7001"), Some(("::1".into(), 7001)));
        assert_eq!(read(":7001"), Some(("asked".into(), 7001)));
        assert_eq!(read("nowhere"), None);
    }
}
