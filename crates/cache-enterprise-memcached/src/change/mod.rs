//! How one key is changed: steps against a server that offers `add`, `get` with a token, and
//! `compare and swap`.
//!
//! The version of what stands under a key lies in the item's head. A server compares tokens and not
//! versions, so a change reads, decides, and swaps only if nobody else did meanwhile; else it
//! begins again. Nothing is ever stored blindly, therefore a value that is older than what stands
//! can replace it at no interleaving, and a removal leaves a tombstone that refuses older values
//! as well. A put of a small value begins with `add`: it mostly follows a miss, where it ends in one
//! exchange. A larger one looks first, because a server may unlink what stands under the key of an
//! item that it has no room for.
//!
//! A lease lies in the item of its key, so that a put that must have the newest token compares it
//! in the step that writes. Every other change leaves it as it is.
//!
//! No step does I/O here. Both clients run the same machine, and the tests run it against a server
//! in memory, at every interleaving that a seed draws.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, LeaseToken};
use cache_enterprise_core::{
    Error, ErrorKind, Put, PutOutcome, Result, Sequence, Swapped, mins, mutant, saturating_millis,
};

use crate::error::NO_TOKENS;
use crate::expiry::server_expiry;
use crate::item::{self, Found, Head, Kind, Leased};

/// Answers after which a change gives up: of each two lost ones another writer of the key has won.
const ROUNDS_MAX: u32 = 512;
/// Values up to this begin with `add`: no server is set up for smaller items.
const ADD_FIRST_BYTES_MAX: usize = 16 * 1024;
/// How long the newest token of a key is kept beyond its lease.
const TOKEN_LIFE: Duration = mins(10);

/// Wall time of both kinds at the start of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// By the clock of the manager, for the head of the item.
    pub(crate) wall_ms: i64,
    /// By the machine, for the server and for tokens.
    pub(crate) unix_micros: u64,
}

/// What shall become of a key.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Puts a value, with a token only while that is the newest of the key.
    Put {
        value: Bytes,
        how: Put,
        token: Option<LeaseToken>,
    },
    /// Puts nothing, because the value is too large, and leaves nothing older.
    Refuse {
        version: Sequence,
        token: Option<LeaseToken>,
    },
    /// Puts a value if one of this version stands there.
    Swap {
        value: Bytes,
        how: Put,
        expected: Sequence,
    },
    Remove {
        at: Sequence,
    },
    Touch {
        life: Duration,
    },
    Acquire {
        life: Duration,
    },
    Renew {
        token: LeaseToken,
        life: Duration,
    },
    Release {
        token: LeaseToken,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Put(PutOutcome),
    Swapped(Swapped),
    /// Whether something was there.
    Was(bool),
    Acquired(Acquired),
}

/// An item on its way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) bytes: Bytes,
    pub(crate) expiry: u32,
}

/// What to ask a server next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Store the item if nothing is there.
    Add(Item),
    /// Give what is there, with its token.
    Read,
    /// Store the item if what is there still has the token.
    Swap(Item, u64),
    Done(Done),
}

/// What the server said to a step.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Added(bool),
    Read(Option<(Bytes, u64)>),
    Swapped(bool),
    /// The server takes no item of this size.
    TooLarge,
}

/// One change of one key.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    wish: Wish,
    carried: Cow<'a, str>,
    now: Now,
    tombstone_life: Duration,
    /// What the step on its way ends with.
    pending: Done,
    rounds: u32,
}

impl<'a> Change<'a> {
    pub(crate) fn new(
        wish: Wish,
        carried: Cow<'a, str>,
        now: Now,
        tombstone_life: Duration,
    ) -> Self {
        Self { wish, carried, now, tombstone_life, pending: Done::Was(false), rounds: 0 }
    }

    pub(crate) fn first(&mut self) -> Step {
        match self.wish {
            // A server that takes no item of this size unlinks what stands there, were it newer.
            Wish::Put { ref value, .. } | Wish::Swap { ref value, .. }
                if value.len() > ADD_FIRST_BYTES_MAX =>
            {
                Step::Read
            }
            // A put under a lease finds at least that.
            Wish::Put { token: None, .. } | Wish::Acquire { .. } => self.on_nothing(),
            Wish::Swap { expected: Sequence::ZERO, .. } => self.on_nothing(),
            _ => Step::Read,
        }
    }

    /// # Errors
    /// [`ErrorKind::Overloaded`] when other writers of the key won every round,
    /// [`ErrorKind::TooLarge`] when the server refuses an item that has no smaller form.
    pub(crate) fn after(&mut self, answer: Answer) -> Result<Step> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            let text = "other writers of the key won every round";
            return Err(Error::new(ErrorKind::Overloaded, text));
        }
        match answer {
            Answer::Added(true) | Answer::Swapped(true) => Ok(Step::Done(self.pending)),
            Answer::Added(false) | Answer::Swapped(false) => Ok(Step::Read),
            Answer::Read(None) => Ok(self.on_nothing()),
            Answer::Read(Some((_, 0))) => Err(Error::config(NO_TOKENS)),
            Answer::Read(Some((bytes, token))) => Ok(self.on_item(bytes, token)),
            Answer::TooLarge => self.shrink(),
        }
    }

    fn on_nothing(&mut self) -> Step {
        match self.wish {
            Wish::Put { ref value, how, token: None } => {
                self.pending = Done::Put(PutOutcome::Stored);
                Step::Add(self.value_item(value, how, None))
            }
            // Somebody may have had a newer token: it went with the item.
            Wish::Put { .. } => Step::Done(Done::Put(PutOutcome::Fenced)),
            // What is older may be on its way while nothing stands: it is refused all the same.
            Wish::Refuse { version, .. } if version > Sequence::ZERO => {
                self.pending = Done::Put(PutOutcome::Refused);
                Step::Add(self.tombstone(version, None))
            }
            Wish::Refuse { .. } => Step::Done(Done::Put(PutOutcome::Refused)),
            Wish::Swap { ref value, how, expected: Sequence::ZERO } => {
                self.pending = Done::Swapped(Swapped::Stored);
                Step::Add(self.value_item(value, how, None))
            }
            Wish::Swap { .. } => Step::Done(Done::Swapped(Swapped::Changed(Sequence::ZERO))),
            Wish::Remove { at } if at > Sequence::ZERO => {
                self.pending = Done::Was(false);
                Step::Add(self.tombstone(at, None))
            }
            Wish::Acquire { life } => {
                let lease = self.taken(LeaseToken(0), life);
                self.pending = Done::Acquired(Acquired::Held(lease.token));
                Step::Add(self.tombstone(Sequence::ZERO, Some(lease)))
            }
            Wish::Remove { .. }
            | Wish::Touch { .. }
            | Wish::Renew { .. }
            | Wish::Release { .. } => Step::Done(Done::Was(false)),
        }
    }

    fn on_item(&mut self, bytes: Bytes, cas: u64) -> Step {
        let (head, value) = match item::open(&self.carried, bytes) {
            Found::Own(head, value) => (head, value),
            // What nobody can read is as good as an old removal, and is replaced like one.
            Found::OtherKey | Found::Foreign => (Head::removed(Sequence::ZERO), Bytes::new()),
        };
        let is_live = head.is_live(self.now.wall_ms);
        match self.wish {
            Wish::Put { token, .. } | Wish::Refuse { token, .. } if !may_put(token, head.lease) => {
                Step::Done(Done::Put(PutOutcome::Fenced))
            }
            Wish::Put { how: Put { version, .. }, .. } | Wish::Refuse { version, .. }
                if version < head.version =>
            {
                Step::Done(Done::Put(PutOutcome::Fenced))
            }
            Wish::Put { ref value, how, .. } => {
                self.pending = Done::Put(PutOutcome::Stored);
                Step::Swap(self.value_item(value, how, head.lease), cas)
            }
            Wish::Refuse { version, .. } => {
                self.pending = Done::Put(PutOutcome::Refused);
                Step::Swap(self.tombstone(version, head.lease), cas)
            }
            Wish::Swap { ref value, how, expected } => {
                let standing = if is_live { head.version } else { Sequence::ZERO };
                if standing != expected {
                    return Step::Done(Done::Swapped(Swapped::Changed(standing)));
                }
                if how.version < head.version {
                    return Step::Done(Done::Swapped(Swapped::Fenced));
                }
                self.pending = Done::Swapped(Swapped::Stored);
                Step::Swap(self.value_item(value, how, head.lease), cas)
            }
            Wish::Remove { at } if head.kind == Kind::Removed && at <= head.version => {
                Step::Done(Done::Was(false))
            }
            Wish::Remove { at } => {
                self.pending = Done::Was(is_live);
                Step::Swap(self.tombstone(at.max(head.version), head.lease), cas)
            }
            Wish::Touch { .. } if !is_live => Step::Done(Done::Was(false)),
            Wish::Touch { life } => {
                self.pending = Done::Was(true);
                let head = Head { expires: Some(self.end_of(life)), ..head };
                Step::Swap(self.item(head, &value, Some(life)), cas)
            }
            Wish::Acquire { .. } | Wish::Renew { .. } | Wish::Release { .. } => {
                let Some(lease) = self.changed(head.lease) else { return Step::Done(self.pending) };
                Step::Swap(self.with_lease(head, &value, lease), cas)
            }
        }
    }

    /// The lease as the wish makes it; `None` when it stays as it is. Either way `pending` is what
    /// the change ends with.
    fn changed(&mut self, lease: Option<Leased>) -> Option<Leased> {
        let (now, held) = (self.now.wall_ms, lease.filter(|lease| lease.until > self.now.wall_ms));
        let (done, changed) = match (&self.wish, held, lease) {
            (Wish::Acquire { .. }, Some(held), _) => {
                let left = u64::try_from(held.until - now).unwrap_or(0);
                (Done::Acquired(Acquired::Busy(Duration::from_millis(left))), None)
            }
            (Wish::Acquire { life }, None, last) => {
                let last = last.map_or(LeaseToken(0), |last| last.token);
                let lease = self.taken(last, *life);
                (Done::Acquired(Acquired::Held(lease.token)), Some(lease))
            }
            (Wish::Renew { token, life }, _, Some(last)) if *token == last.token => {
                (Done::Was(true), Some(Leased { until: self.end_of(*life), ..last }))
            }
            (Wish::Release { token }, Some(held), _) if *token == held.token => {
                (Done::Was(true), Some(Leased { until: now, ..held }))
            }
            _ => (Done::Was(false), None),
        };
        self.pending = done;
        changed
    }

    /// The server's limit is below what was configured: what was to be stored is refused instead.
    fn shrink(&mut self) -> Result<Step> {
        match self.wish {
            Wish::Put { how, token, .. } => {
                self.wish = Wish::Refuse { version: how.version, token };
                Ok(Step::Read)
            }
            Wish::Swap { .. } => Ok(Step::Done(Done::Swapped(Swapped::Refused))),
            _ => Err(Error::new(ErrorKind::TooLarge, "the server takes no item of this size")),
        }
    }

    fn value_item(&self, value: &[u8], how: Put, lease: Option<Leased>) -> Item {
        let expires = how.ttl.map(|life| self.end_of(life));
        let head = Head { kind: Kind::Value, version: how.version, expires, lease };
        self.item(head, value, how.ttl)
    }

    fn tombstone(&self, version: Sequence, lease: Option<Leased>) -> Item {
        let head = Head { lease, ..Head::removed(version) };
        self.item(head, b"", Some(self.tombstone_life))
    }

    /// What stands there, under another lease. A value that has ended is as good as its removal.
    fn with_lease(&self, head: Head, value: &[u8], lease: Leased) -> Item {
        if !head.is_live(self.now.wall_ms) {
            return self.tombstone(head.version, Some(lease));
        }
        let left = head.expires.map(|expires| expires - self.now.wall_ms);
        let left = left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or(0)));
        self.item(Head { lease: Some(lease), ..head }, value, left)
    }

    /// An item that the server keeps for as long as its value, and as its token is to be known.
    fn item(&self, head: Head, value: &[u8], life: Option<Duration>) -> Item {
        let token_life = head.lease.map(|lease| {
            let left = u64::try_from(lease.until - self.now.wall_ms).unwrap_or(0);
            TOKEN_LIFE.saturating_add(Duration::from_millis(left))
        });
        let life = life.map(|life| life.max(token_life.unwrap_or_default()));
        Item {
            bytes: item::seal(head, &self.carried, value),
            expiry: server_expiry(life, self.now.unix_micros / 1_000_000),
        }
    }

    /// A lease that begins now. Tokens are the machine's time in microseconds, so that they also
    /// rise where the server has forgotten the last one, however soon it is asked again.
    fn taken(&self, last: LeaseToken, life: Duration) -> Leased {
        let token = LeaseToken(last.0.saturating_add(1).max(self.now.unix_micros));
        Leased { token, until: self.end_of(life) }
    }

    fn end_of(&self, life: Duration) -> i64 {
        let life = i64::try_from(saturating_millis(life)).unwrap_or(i64::MAX);
        self.now.wall_ms.saturating_add(life)
    }
}

/// Whether a put with this token may write over an item with this lease.
fn may_put(token: Option<LeaseToken>, lease: Option<Leased>) -> bool {
    match token {
        None => true,
        Some(_) if mutant::breaks("a put by an older token is refused") => true,
        Some(token) => lease.is_some_and(|lease| lease.token == token),
    }
}

#[cfg(test)]
mod tests;
