//! Which server the sentinels name.

use cache_enterprise_core::{Error, ErrorKind, Result};
use redis::Value;

use crate::address::Endpoint;
use crate::error;

/// Reads the answer to `SENTINEL GET-MASTER-ADDR-BY-NAME`; `None` when the name is not known.
pub(super) fn named(answer: &Value) -> Result<Option<Endpoint>> {
    let Value::Array(parts) = answer else {
        return match answer {
            Value::Nil => Ok(None),
            _ => Err(error::strange_reply()),
        };
    };
    let text = |index: usize| match parts.get(index) {
        Some(Value::BulkString(text)) => std::str::from_utf8(text).ok(),
        Some(Value::SimpleString(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(host), Some(port)) = (text(0), text(1).and_then(|port| port.parse().ok())) else {
        return Err(error::strange_reply());
    };
    Ok(Some(Endpoint { host: host.to_owned(), port }))
}

/// The answers of sentinels, counted. One that was cut off may still name the old primary, so a
/// majority decides, or most of those that answered in time.
#[derive(Debug)]
pub(super) struct Votes {
    sentinels: usize,
    counts: Vec<(Endpoint, usize)>,
    /// Answered, and do not know the name.
    ignorant: usize,
    fault: Option<Error>,
}

impl Votes {
    pub(super) fn of(sentinels: usize) -> Self {
        Self { sentinels, counts: Vec::new(), ignorant: 0, fault: None }
    }

    /// Counts an answer; gives the primary once a majority names it.
    pub(super) fn count(&mut self, answer: Result<Option<Endpoint>>) -> Option<Endpoint> {
        match answer {
            Err(fault) => self.fault = Some(fault),
            Ok(None) => self.ignorant += 1,
            Ok(Some(endpoint)) => {
                match self.counts.iter_mut().find(|(known, _)| *known == endpoint) {
                    Some((_, count)) => *count += 1,
                    None => self.counts.push((endpoint, 1)),
                }
            }
        }
        let majority = self.counts.iter().find(|(_, count)| *count > self.sentinels / 2);
        majority.map(|(endpoint, _)| endpoint.clone())
    }

    /// The primary that most named, when no more answers are to come.
    pub(super) fn most(self, primary: &str) -> Result<Endpoint> {
        let most = self.counts.into_iter().max_by_key(|(_, count)| *count);
        if let Some((endpoint, _)) = most {
            return Ok(endpoint);
        }
        if self.ignorant > 0 {
            let text = "the sentinels know no primary of this name; correct the name";
            return Err(Error::config(text).with("primary", primary.escape_default()));
        }
        let error = Error::new(ErrorKind::Unavailable, "no sentinel answers")
            .with("sentinels", self.sentinels);
        Err(match self.fault {
            Some(fault) if !fault.is_transient() => fault.with("at", "sentinel"),
            Some(fault) => error.source_error(fault),
            None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(port: u16) -> Endpoint {
        Endpoint { host: "10.0.0.1".into(), port }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn an_answer_is_an_address_or_nothing() {
        let answer = Value::Array(vec![text("10.0.0.1"), text("7000")]);
        assert_eq!(named(&answer).unwrap(), Some(at(7000)));
        assert_eq!(named(&Value::Nil).unwrap(), None);
        for strange in [Value::Okay, Value::Array(vec![text("10.0.0.1"), text("x")])] {
            assert!(named(&strange).is_err());
        }
    }

    #[test]
    fn a_majority_outvotes_a_sentinel_that_was_cut_off() {
        let mut votes = Votes::of(3);
        assert_eq!(votes.count(Ok(Some(at(1)))), None);
        assert_eq!(votes.count(Ok(Some(at(2)))), None);
        assert_eq!(votes.count(Ok(Some(at(2)))), Some(at(2)));
    }

    #[test]
    fn without_a_majority_the_answers_there_are_decide() {
        let lost = || Error::new(ErrorKind::Unavailable, "the connection was lost");
        let mut votes = Votes::of(3);
        votes.count(Err(lost()));
        votes.count(Ok(Some(at(1))));
        assert_eq!(votes.most("primary").unwrap(), at(1));

        let mut unknown = Votes::of(2);
        unknown.count(Err(lost()));
        unknown.count(Ok(None));
        assert_eq!(unknown.most("primray").unwrap_err().kind(), ErrorKind::Config);

        let mut silent = Votes::of(1);
        silent.count(Err(lost()));
        assert!(silent.most("primary").unwrap_err().is_transient());

        let mut refused = Votes::of(1);
        refused.count(Err(Error::config("the server refuses the login")));
        assert_eq!(refused.most("primary").unwrap_err().kind(), ErrorKind::Config);
    }
}
