//! Calls that change one entry.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use cache_enterprise_core::{Sequence, StoredKey, saturating_millis};
use redis::{Cmd, RedisWrite, ToRedisArgs};

use super::{Function, Invoke};
use crate::key::RedisKey;
use crate::link::slot_of_key;
use crate::record;

/// A life from here on is endless: Redis counts in milliseconds and 64 bits.
const LIFE_MS_MAX: u64 = 1 << 53;

/// What happens to an entry.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Put {
        version: Sequence,
        value: Bytes,
        life: Option<Duration>,
    },
    /// Put a value that is too large to be sent.
    Refuse {
        version: Sequence,
    },
    Remove {
        at: Sequence,
    },
    Touch {
        life: Duration,
    },
    Swap {
        version: Sequence,
        value: Bytes,
        life: Option<Duration>,
        expected: Sequence,
    },
}

/// A request for the entry under a key.
#[derive(Clone, Debug)]
pub(crate) struct ValueCall<'a> {
    pub(crate) key: &'a StoredKey,
    pub(crate) request: Request,
    /// Life of a removal in milliseconds.
    pub(crate) removal: &'a str,
}

impl Invoke for ValueCall<'_> {
    fn function(&self) -> Function {
        match self.request {
            Request::Put { .. } => Function::Put,
            Request::Refuse { .. } => Function::Refuse,
            Request::Remove { .. } => Function::Remove,
            Request::Touch { .. } => Function::Touch,
            Request::Swap { .. } => Function::Swap,
        }
    }

    fn slot(&self) -> u16 {
        slot_of_key(self.key)
    }

    fn write(&self, command: &mut Cmd) {
        command.arg(1).arg(RedisKey::of(self.key));
        match &self.request {
            Request::Put { version, value, life } | Request::Swap { version, value, life, .. } => {
                command.arg(Record(*version, value)).arg(millis(*life))
            }
            Request::Refuse { version: at } | Request::Remove { at } => {
                command.arg(record::version(*at).as_slice())
            }
            Request::Touch { life } => command.arg(millis(Some(*life))),
        };
        command.arg(self.removal);
        if let Request::Swap { expected, .. } = &self.request {
            command.arg(record::version(*expected).as_slice());
        }
    }

    fn payload(&self) -> usize {
        match &self.request {
            Request::Put { value, .. } | Request::Swap { value, .. } => value.len(),
            Request::Refuse { .. } | Request::Remove { .. } | Request::Touch { .. } => 0,
        }
    }
}

/// Head and value, written into a command without a copy in between.
pub(crate) struct Record<'a>(pub(crate) Sequence, pub(crate) &'a Bytes);

impl ToRedisArgs for Record<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.bufmut_for_next_arg(record::HEAD_BYTES + self.1.len());
        argument.put_slice(&record::head(self.0));
        argument.put_slice(self.1);
    }
}

/// A life as functions take it.
pub(crate) fn millis(life: Option<Duration>) -> String {
    match life.map(saturating_millis) {
        Some(millis) if millis < LIFE_MS_MAX => millis.to_string(),
        _ => String::new(),
    }
}

/// The life of a removal as functions take it.
pub(crate) fn removal(life: Duration) -> String {
    saturating_millis(life).clamp(1, LIFE_MS_MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_whole_milliseconds_or_endless() {
        assert_eq!(millis(None), "");
        assert_eq!(millis(Some(Duration::MAX)), "");
        assert_eq!(millis(Some(Duration::ZERO)), "0");
        assert_eq!(millis(Some(Duration::from_nanos(1))), "1");
        assert_eq!(millis(Some(Duration::from_secs(30 * 86_400))), "2592000000");
        assert_eq!(removal(Duration::ZERO), "1");
    }
}
