//! The counter that gives a manager's numbers.
//!
//! It is an item of decimal digits, which the server itself adds one to. Where it is missing it
//! starts at the server's time in microseconds, so that one that was lost restarts above every
//! number it gave, unless that ran ahead of the time because somebody had seen a higher one; whoever
//! has seen one lifts it again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_enterprise_core::coherence::Sequence;
use cache_enterprise_core::{Error, ErrorKind, Result};
use memcache::exp::{MetaCommand, MetaOp, ReturnCode};

use super::{ROUNDS_MAX, flag, get};
use crate::error;
use crate::meta::MetaServer;

/// An item that ends far from now. The server tells how long it has left, and so its own time.
const TIME_NAME: &str = "@time";
const YEAR_SECONDS: u64 = 365 * 24 * 60 * 60;
const SECOND_US: u64 = 1_000_000;

/// One counter on its server.
pub(super) struct Counter<'a> {
    pub(super) server: &'a MetaServer,
    pub(super) address: &'a str,
    pub(super) name: String,
}

impl Counter<'_> {
    /// The next number, lifted above `above` where the counter is not. One exchange mostly.
    pub(super) async fn above(&self, above: Sequence) -> Result<Sequence> {
        if above.0 == u64::MAX {
            return Err(Error::invalid("there is no number above the greatest"));
        }
        for _ in 0..ROUNDS_MAX {
            match self.add_one().await? {
                Some(number) if number > above.0 => return Ok(Sequence(number)),
                _ => self.lift(above.0).await?,
            }
        }
        let text = "other processes set the counter back in every round";
        Err(error::at(self.address, ErrorKind::Overloaded, text))
    }

    /// The number after the last; `None` where there is no counter.
    async fn add_one(&self) -> Result<Option<u64>> {
        let add = MetaCommand::new(MetaOp::Arithmetic, self.name.as_str()).flag(&b"v"[..]);
        match self.server.exchange(vec![add]).await {
            Ok(mut replies) => {
                let value = replies.pop().and_then(|reply| reply.into_value());
                Ok(value.as_deref().and_then(digits))
            }
            // The server cannot add to what some other program wrote there.
            Err(refused) if refused.kind() == ErrorKind::Unsupported => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes the counter, or sets it to `above` where it is lower. Says nothing of who won.
    async fn lift(&self, above: u64) -> Result<()> {
        let reply = self.server.exchange(vec![get(&self.name, &["v", "c"])]).await?.pop();
        let reply = reply.ok_or_else(|| error::out_of_step(self.address))?;
        let (start, only_if) = match reply.rc() {
            ReturnCode::En => (above.max(self.time_us().await?), "ME".to_owned()),
            _ => match flag::<u64>(&reply, b'c') {
                Some(0) => return Err(error::no_tokens(self.address)),
                Some(token) => {
                    let start = match reply.into_value().as_deref().and_then(digits) {
                        Some(number) if number > above => return Ok(()),
                        Some(_) => above,
                        None => above.max(self.time_us().await?),
                    };
                    (start, format!("C{token}"))
                }
                None => return Err(error::out_of_step(self.address)),
            },
        };
        let set = MetaCommand::new(MetaOp::Set, self.name.as_str()).flag(only_if);
        self.server.exchange(vec![set.value(start.to_string())]).await.map(drop)
    }

    /// The server's time, which it counts in seconds, refined by this machine's within the second;
    /// this machine's alone where the server does not tell.
    async fn time_us(&self) -> Result<u64> {
        let own = u64::try_from(unix_time().as_micros()).unwrap_or(u64::MAX / 2);
        let Some(seconds) = self.server_seconds().await? else { return Ok(own) };
        let second = seconds.saturating_mul(SECOND_US);
        Ok(own.clamp(second, second.saturating_add(2 * SECOND_US)))
    }

    async fn server_seconds(&self) -> Result<Option<u64>> {
        for _ in 0..2 {
            let reply = self.server.exchange(vec![get(TIME_NAME, &["v", "t"])]).await?.pop();
            let reply = reply.ok_or_else(|| error::out_of_step(self.address))?;
            if reply.rc() != ReturnCode::En {
                let left = flag::<u64>(&reply, b't');
                let end = reply.into_value().as_deref().and_then(digits);
                return Ok(end.zip(left).and_then(|(end, left)| end.checked_sub(left)));
            }
            let end = unix_time().as_secs().saturating_add(YEAR_SECONDS);
            let set = MetaCommand::new(MetaOp::Set, TIME_NAME).flag(format!("T{end}"));
            self.server.exchange(vec![set.flag(&b"ME"[..]).value(end.to_string())]).await?;
        }
        Ok(None)
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn digits(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_with_what_a_server_pads_them_with() {
        assert_eq!(digits(b"1800000000000000"), Some(1_800_000_000_000_000));
        assert_eq!(digits(b"17  "), Some(17));
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        for none in [&b""[..], b"abc", b"18446744073709551616", b"\xff"] {
            assert_eq!(digits(none), None);
        }
    }
}
