//! Answers that send a command elsewhere.

use std::error::Error as StdError;
use std::fmt;

use cache_enterprise_core::{Error, Result};

use super::view;
use crate::address::Endpoint;

/// What `MOVED` and `ASK` say. It travels as the cause of the workspace's error, so that whoever
/// knows no cluster has an error like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// For this one command, and after `ASKING`: the slot is on its way.
    is_once: bool,
    /// `host:port`, as the node wrote it.
    to: String,
}

impl Redirect {
    /// Reads the code and the rest of an error reply: `MOVED 3999 10.0.0.7:7001`.
    pub(crate) fn read(code: &str, detail: Option<&str>) -> Option<Self> {
        let is_once = match code {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (_, to) = detail?.trim().split_once(' ')?;
        Some(Self { is_once, to: to.to_owned() })
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent on to {}", self.to.escape_default())
    }
}

impl StdError for Redirect {}

/// Where a command goes after an answer that was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detour {
    /// To the new owner of the slot.
    Moved(Endpoint),
    /// To the node that is about to own it, with leave to ask there already.
    Asked(Endpoint),
    /// Once more, by itself: some keys of the command were on their way.
    Again,
}

/// The detour that an answer of the node at `asked` names; `None` when it is an answer.
pub(super) fn detour<T>(answer: &Result<T>, asked: &Endpoint) -> Option<Detour> {
    let fault = answer.as_ref().err()?;
    if let Some(redirect) = fault.source().and_then(|cause| cause.downcast_ref::<Redirect>()) {
        let to = view::redirected(&redirect.to, asked)?;
        return Some(if redirect.is_once { Detour::Asked(to) } else { Detour::Moved(to) });
    }
    has_code(fault, &["TRYAGAIN"]).then_some(Detour::Again)
}

/// What an answer tells about the node it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers.
    Well,
    /// It answers, and does not know where the slot is served.
    Lost,
    /// Nothing came.
    Silent,
    /// Nothing was asked.
    None,
}

pub(super) fn sign<T>(answer: &Result<T>) -> Sign {
    use cache_enterprise_core::ErrorKind::{Closed, Timeout, Unavailable};
    let Err(fault) = answer else { return Sign::Well };
    if has_code(fault, &["MOVED", "CLUSTERDOWN", "MASTERDOWN", "READONLY"]) {
        return Sign::Lost;
    }
    let is_reply = fault.context().any(|(name, _)| name == "code");
    match fault.kind() {
        Closed => Sign::None,
        Timeout | Unavailable if !is_reply => Sign::Silent,
        _ => Sign::Well,
    }
}

fn has_code(fault: &Error, codes: &[&str]) -> bool {
    fault.context().any(|(name, value)| name == "code" && codes.contains(&value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error;
    use redis::{RedisError, Value, parse_redis_value};

    fn reply(text: &str) -> Result<()> {
        match parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap() {
            Value::ServerError(fault) => Err(error::from_redis(&RedisError::from(fault))),
            other => panic!("{other:?}"),
        }
    }

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }

    #[test]
    fn redirects_are_read_from_the_error_they_caused() {
        let asked = at("asked", 7000);
        let after = |text| detour(&reply(text), &asked);
        assert_eq!(after("MOVED 3999 10.0.0.7:7001"), Some(Detour::Moved(at("10.0.0.7", 7001))));
        assert_eq!(after("ASK 3999 :7001"), Some(Detour::Asked(at("asked", 7001))));
        assert_eq!(after("TRYAGAIN Multiple keys request"), Some(Detour::Again));
        for text in
            ["MOVED", "MOVED 3999", "MOVED 3999 nowhere", "CLUSTERDOWN The cluster", "ERR x"]
        {
            assert_eq!(after(text), None, "{text}");
        }
        assert_eq!(detour(&Ok(()), &asked), None);
    }

    #[test]
    fn only_silence_speaks_against_a_node() {
        assert_eq!(sign(&Ok(())), Sign::Well);
        assert_eq!(sign(&reply("OOM command not allowed")), Sign::Well);
        assert_eq!(sign(&reply("LOADING Redis is loading")), Sign::Well);
        assert_eq!(sign(&reply("ASK 3999 a:1")), Sign::Well);
        assert_eq!(sign(&reply("MOVED 3999 a:1")), Sign::Lost);
        assert_eq!(sign(&reply("CLUSTERDOWN The cluster is down")), Sign::Lost);
        assert_eq!(
            sign::<()>(&Err(error::late("the server did not answer in time"))),
            Sign::Silent
        );
        assert_eq!(sign::<()>(&Err(error::closed())), Sign::None);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(sign::<()>(&Err(error::from_io(&refused))), Sign::Silent);
    }
}
