//! How one key is changed: steps against a server that offers `add`, `get` with a token, and
//! `compare and swap`.
//!
//! The version of what stands under a key lies in the item's head. A server compares tokens and not
//! versions, so a change reads, decides, and swaps only if nobody else did meanwhile; else it
//! begins again. Nothing is ever stored blindly, therefore a value that is older than what stands
//! can replace it at no interleaving, and a removal leaves a tombstone that refuses older values
//! as well. A put begins with `add`: it mostly follows a miss, where it ends in one exchange.
//!
//! No step does I/O here. Both clients run the same machine, and the tests run it against a server
//! in memory, at every interleaving that a seed draws.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Error, ErrorKind, PutOutcome, Result, Sequence, saturating_millis};

use crate::expiry::server_expiry;
use crate::item::{self, Found, Head, Kind};

/// Answers after which a change gives up: of each two lost ones another writer of the key has won.
const ROUNDS_MAX: u32 = 512;

/// Wall time of both kinds at the start of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// By the clock of the manager, for the head of the item.
    pub(crate) wall_ms: i64,
    /// By the machine, for the server.
    pub(crate) unix_seconds: u64,
}

/// What shall become of a key.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Put {
        value: Bytes,
        life: Option<Duration>,
        version: Sequence,
    },
    /// Puts nothing, because the value is too large, and leaves nothing older.
    Refuse {
        version: Sequence,
    },
    Remove {
        at: Sequence,
    },
    Touch {
        life: Duration,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Put(PutOutcome),
    /// Whether something was there.
    Was(bool),
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
            Wish::Put { .. } => self.add(),
            Wish::Refuse { .. } | Wish::Remove { .. } | Wish::Touch { .. } => Step::Read,
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
            Answer::Read(Some((_, 0))) => {
                let text = "the server gives no tokens (option -C), and without them an older \
                            value could replace a newer one; start it without";
                Err(Error::config(text))
            }
            Answer::Read(Some((bytes, token))) => Ok(self.on_item(bytes, token)),
            Answer::TooLarge => self.shrink(),
        }
    }

    fn on_nothing(&mut self) -> Step {
        match self.wish {
            Wish::Put { .. } => self.add(),
            Wish::Refuse { .. } => Step::Done(Done::Put(PutOutcome::Refused)),
            Wish::Remove { at } if at > Sequence::ZERO => {
                self.pending = Done::Was(false);
                Step::Add(self.tombstone(at))
            }
            Wish::Remove { .. } | Wish::Touch { .. } => Step::Done(Done::Was(false)),
        }
    }

    fn on_item(&mut self, bytes: Bytes, token: u64) -> Step {
        let (head, value) = match item::open(&self.carried, bytes) {
            Found::Own(head, value) => (head, value),
            // What nobody can read is as good as an old removal, and is replaced like one.
            Found::OtherKey | Found::Foreign => (Head::removed(Sequence::ZERO), Bytes::new()),
        };
        let is_live = head.is_live(self.now.wall_ms);
        match self.wish {
            Wish::Put { version, .. } | Wish::Refuse { version } if version < head.version => {
                Step::Done(Done::Put(PutOutcome::Fenced))
            }
            Wish::Put { .. } => {
                self.pending = Done::Put(PutOutcome::Stored);
                Step::Swap(self.value_item(), token)
            }
            Wish::Refuse { version } => {
                self.pending = Done::Put(PutOutcome::Refused);
                Step::Swap(self.tombstone(version), token)
            }
            Wish::Remove { at } if head.kind == Kind::Removed && at <= head.version => {
                Step::Done(Done::Was(false))
            }
            Wish::Remove { at } => {
                self.pending = Done::Was(is_live);
                Step::Swap(self.tombstone(at.max(head.version)), token)
            }
            Wish::Touch { .. } if !is_live => Step::Done(Done::Was(false)),
            Wish::Touch { life } => {
                self.pending = Done::Was(true);
                let head = Head { expires: Some(self.end_of(life)), ..head };
                Step::Swap(self.item(head, &value, Some(life)), token)
            }
        }
    }

    /// The server's limit is below what was configured: what was to be stored is refused instead.
    fn shrink(&mut self) -> Result<Step> {
        let Wish::Put { version, .. } = self.wish else {
            return Err(Error::new(ErrorKind::TooLarge, "the server takes no item of this size"));
        };
        self.wish = Wish::Refuse { version };
        Ok(Step::Read)
    }

    fn add(&mut self) -> Step {
        self.pending = Done::Put(PutOutcome::Stored);
        Step::Add(self.value_item())
    }

    fn value_item(&self) -> Item {
        let Wish::Put { ref value, life, version } = self.wish else {
            unreachable!("only a put stores a value of its own")
        };
        let expires = life.map(|life| self.end_of(life));
        self.item(Head { kind: Kind::Value, version, expires }, value, life)
    }

    fn tombstone(&self, version: Sequence) -> Item {
        self.item(Head::removed(version), b"", Some(self.tombstone_life))
    }

    fn item(&self, head: Head, value: &[u8], life: Option<Duration>) -> Item {
        Item {
            bytes: item::seal(head, &self.carried, value),
            expiry: server_expiry(life, self.now.unix_seconds),
        }
    }

    fn end_of(&self, life: Duration) -> i64 {
        let life = i64::try_from(saturating_millis(life)).unwrap_or(i64::MAX);
        self.now.wall_ms.saturating_add(life)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::{mins, secs};
    use proptest::prelude::*;

    const NOW: Now = Now { wall_ms: 1_000, unix_seconds: 1_800_000_000 };

    /// One name of a server in memory.
    #[derive(Debug, Default)]
    struct Server {
        item: Option<(Bytes, u64)>,
        token: u64,
        item_bytes_max: Option<usize>,
    }

    impl Server {
        fn answer(&mut self, step: &Step) -> Answer {
            match step {
                Step::Add(item) | Step::Swap(item, _)
                    if self.item_bytes_max.is_some_and(|most| item.bytes.len() > most) =>
                {
                    Answer::TooLarge
                }
                Step::Add(item) => {
                    let is_free = self.item.is_none();
                    if is_free {
                        self.store(item);
                    }
                    Answer::Added(is_free)
                }
                Step::Read => Answer::Read(self.item.clone()),
                Step::Swap(item, token) => {
                    let is_same = self.item.as_ref().is_some_and(|(_, now)| now == token);
                    if is_same {
                        self.store(item);
                    }
                    Answer::Swapped(is_same)
                }
                Step::Done(_) => unreachable!("a change that is done asks nothing"),
            }
        }

        fn store(&mut self, item: &Item) {
            self.token += 1;
            self.item = Some((item.bytes.clone(), self.token));
        }

        fn run(&mut self, wish: Wish) -> Done {
            let mut change = Change::new(wish, "".into(), NOW, mins(5));
            let mut step = change.first();
            loop {
                match step {
                    Step::Done(done) => return done,
                    step_now => step = change.after(self.answer(&step_now)).unwrap(),
                }
            }
        }

        fn head(&self) -> Option<Head> {
            let (bytes, _) = self.item.clone()?;
            match item::open("", bytes) {
                Found::Own(head, _) => Some(head),
                other => panic!("found {other:?}"),
            }
        }
    }

    fn put(version: u64) -> Wish {
        Wish::Put { value: "value".into(), life: None, version: Sequence(version) }
    }

    #[test]
    fn a_put_after_a_miss_takes_one_step_and_over_a_value_three() {
        let mut server = Server::default();
        let mut change = Change::new(put(1), "".into(), NOW, mins(5));
        let first = change.first();
        assert!(matches!(first, Step::Add(_)));
        let answer = server.answer(&first);
        assert_eq!(change.after(answer).unwrap(), Step::Done(Done::Put(PutOutcome::Stored)));
        let mut change = Change::new(put(2), "".into(), NOW, mins(5));
        let mut steps = vec![change.first()];
        while !matches!(steps.last(), Some(Step::Done(_))) {
            let answer = server.answer(&steps[steps.len() - 1]);
            steps.push(change.after(answer).unwrap());
        }
        assert!(matches!(steps[..], [Step::Add(_), Step::Read, Step::Swap(..), Step::Done(_)]));
    }

    #[test]
    fn an_item_of_another_key_or_of_another_program_is_replaced() {
        for stranger in [item::seal(Head::removed(Sequence(99)), "other", b""), "hello".into()] {
            let mut server = Server::default();
            server.store(&Item { bytes: stranger, expiry: 0 });
            assert_eq!(server.run(Wish::Touch { life: secs(1) }), Done::Was(false));
            assert_eq!(server.run(put(1)), Done::Put(PutOutcome::Stored));
            assert_eq!(server.head().unwrap().version, Sequence(1));
        }
    }

    #[test]
    fn a_server_with_a_smaller_limit_refuses_and_keeps_nothing_older() {
        let mut server = Server { item_bytes_max: Some(item::HEAD_BYTES), ..Server::default() };
        assert_eq!(server.run(put(1)), Done::Put(PutOutcome::Refused));
        assert_eq!(server.head(), None);
        server.store(&Item { bytes: item::seal(Head::removed(Sequence(3)), "", b""), expiry: 0 });
        assert_eq!(server.run(put(2)), Done::Put(PutOutcome::Fenced));
        assert_eq!(server.run(put(4)), Done::Put(PutOutcome::Refused));
        assert_eq!(server.head(), Some(Head::removed(Sequence(4))));
    }

    #[test]
    fn writers_that_always_lose_give_up() {
        let mut change = Change::new(put(1), "".into(), NOW, mins(5));
        change.first();
        let lost = (0..=ROUNDS_MAX).find_map(|_| change.after(Answer::Added(false)).err());
        assert_eq!(lost.unwrap().kind(), ErrorKind::Overloaded);
    }

    #[test]
    fn a_removal_keeps_the_highest_version_it_has_seen() {
        let mut server = Server::default();
        assert_eq!(server.run(Wish::Remove { at: Sequence::ZERO }), Done::Was(false));
        assert_eq!(server.head(), None);
        server.run(put(20));
        assert_eq!(server.run(Wish::Remove { at: Sequence(10) }), Done::Was(true));
        assert_eq!(server.run(Wish::Remove { at: Sequence(5) }), Done::Was(false));
        assert_eq!(server.head(), Some(Head::removed(Sequence(20))));
        assert_eq!(server.run(Wish::Remove { at: Sequence(30) }), Done::Was(false));
        assert_eq!(server.head(), Some(Head::removed(Sequence(30))));
    }

    fn wishes() -> impl Strategy<Value = Wish> {
        let version = || (0_u64..20).prop_map(Sequence);
        prop_oneof![
            3 => version().prop_map(|version| {
                Wish::Put { value: version.0.to_le_bytes().to_vec().into(), life: None, version }
            }),
            1 => version().prop_map(|version| Wish::Refuse { version }),
            1 => version().prop_map(|at| Wish::Remove { at }),
            1 => Just(Wish::Touch { life: secs(60) }),
        ]
    }

    proptest! {
        /// Many changes of one key, a step of one of them at a time: the version under the key never
        /// falls, a value always has its own version, and the highest removal or put stands.
        #[test]
        fn no_interleaving_lets_an_older_value_stand(
            wishes in prop::collection::vec(wishes(), 1..6),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut server = Server::default();
            let mut changes: Vec<_> = wishes
                .iter()
                .map(|wish| {
                    let mut change = Change::new(wish.clone(), "".into(), NOW, mins(5));
                    let step = change.first();
                    (change, step)
                })
                .collect();
            let mut newest = Sequence::ZERO;
            let in_order = (0..changes.len()).flat_map(|index| std::iter::repeat_n(index, 64));
            let drawn: Vec<_> = turns.iter().map(|turn| turn.index(wishes.len())).collect();
            for index in drawn.into_iter().chain(in_order) {
                let (change, step) = &mut changes[index];
                if matches!(step, Step::Done(_)) {
                    continue;
                }
                *step = change.after(server.answer(step)).unwrap();
                let version = server.head().map_or(Sequence::ZERO, |head| head.version);
                prop_assert!(version >= newest, "{version:?} after {newest:?}");
                newest = version;
                if let Some((bytes, _)) = server.item.clone()
                    && let Found::Own(Head { kind: Kind::Value, version, .. }, value) = item::open("", bytes)
                {
                    prop_assert_eq!(&value[..], &version.0.to_le_bytes()[..]);
                }
            }
            let stored = |(wish, (_, step)): (&Wish, &(Change<'_>, Step))| match (wish, step) {
                (Wish::Put { version, .. }, Step::Done(Done::Put(PutOutcome::Stored))) => *version,
                (Wish::Remove { at }, Step::Done(_)) => *at,
                _ => Sequence::ZERO,
            };
            let highest = wishes.iter().zip(&changes).map(stored).max().unwrap();
            prop_assert!(newest >= highest, "{newest:?} stands under {highest:?}");
        }
    }
}
