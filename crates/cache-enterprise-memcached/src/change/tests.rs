//! The machine against a server in memory.
#![allow(clippy::unwrap_used)]
use super::*;
use cache_enterprise_core::{mins, secs};
use proptest::prelude::*;

const NOW: Now = Now { wall_ms: 1_000, unix_micros: 1_800_000_000_000_000 };

/// One name of a server in memory.
#[derive(Debug, Default)]
struct Server {
    item: Option<(Bytes, u64)>,
    token: u64,
    expiry: u32,
    item_bytes_max: Option<usize>,
}

impl Server {
    fn answer(&mut self, step: &Step) -> Answer {
        match step {
            Step::Add(item) | Step::Swap(item, _)
                if self.item_bytes_max.is_some_and(|most| item.bytes.len() > most) =>
            {
                self.item = None;
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
        self.expiry = item.expiry;
        self.item = Some((item.bytes.clone(), self.token));
    }

    fn run(&mut self, wish: Wish) -> Done {
        self.run_at(NOW, wish)
    }

    fn run_at(&mut self, now: Now, wish: Wish) -> Done {
        let mut change = Change::new(wish, "".into(), now, mins(5));
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

fn at(version: u64) -> Put {
    Put { version: Sequence(version), ttl: None }
}

fn put_with(version: u64, token: Option<LeaseToken>) -> Wish {
    Wish::Put { value: "value".into(), how: at(version), token }
}

fn put(version: u64) -> Wish {
    put_with(version, None)
}

/// A value that is put after a look.
fn large() -> Bytes {
    vec![7; ADD_FIRST_BYTES_MAX + 1].into()
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
    let put = |version| Wish::Put { value: large(), how: at(version), token: None };
    assert_eq!(server.run(put(1)), Done::Put(PutOutcome::Refused));
    assert_eq!(server.head(), Some(Head::removed(Sequence(1))));
    server.store(&Item { bytes: item::seal(Head::removed(Sequence(3)), "", b""), expiry: 0 });
    assert_eq!(server.run(put(2)), Done::Put(PutOutcome::Fenced));
    assert_eq!(server.run(put(4)), Done::Put(PutOutcome::Refused));
    assert_eq!(server.head(), Some(Head::removed(Sequence(4))));
}

#[test]
fn a_refused_value_that_meets_nothing_fences_what_is_older() {
    let mut server = Server::default();
    let refuse = |version| Wish::Refuse { version: Sequence(version), token: None };
    assert_eq!(server.run(refuse(0)), Done::Put(PutOutcome::Refused));
    assert_eq!(server.head(), None);
    assert_eq!(server.run(refuse(5)), Done::Put(PutOutcome::Refused));
    assert_eq!(server.run(put(4)), Done::Put(PutOutcome::Fenced));
    assert_eq!(server.run(put(5)), Done::Put(PutOutcome::Stored));
}

/// A server that has no room for an item unlinks what stands under its key all the same.
#[test]
fn a_removal_outlasts_a_value_that_is_too_large_for_the_server() {
    let mut server = Server { item_bytes_max: Some(ADD_FIRST_BYTES_MAX), ..Server::default() };
    assert_eq!(server.run(Wish::Remove { at: Sequence(9) }), Done::Was(false));
    let older = Wish::Put { value: large(), how: at(5), token: None };
    assert_eq!(server.run(older), Done::Put(PutOutcome::Fenced));
    assert_eq!(server.head(), Some(Head::removed(Sequence(9))));
    let swap = Wish::Swap { value: large(), how: at(5), expected: Sequence::ZERO };
    assert_eq!(server.run(swap), Done::Swapped(Swapped::Fenced));
    assert_eq!(server.head(), Some(Head::removed(Sequence(9))));
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

fn held(done: Done) -> LeaseToken {
    match done {
        Done::Acquired(Acquired::Held(token)) => token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_is_kept_by_every_change_of_its_key() {
    let mut server = Server::default();
    let token = held(server.run(Wish::Acquire { life: secs(60) }));
    let how = at(9);
    let wishes = [
        put(5),
        Wish::Touch { life: secs(1) },
        Wish::Swap { value: "new".into(), how, expected: Sequence(5) },
        Wish::Remove { at: Sequence(10) },
        Wish::Refuse { version: Sequence(11), token: None },
    ];
    for wish in wishes {
        server.run(wish.clone());
        let lease = server.head().unwrap().lease.unwrap();
        assert_eq!((lease.token, lease.until), (token, NOW.wall_ms + 60_000), "{wish:?}");
    }
    assert_eq!(server.run(put_with(12, Some(token))), Done::Put(PutOutcome::Stored));
    assert_eq!(
        server.run(Wish::Acquire { life: secs(1) }),
        Done::Acquired(Acquired::Busy(secs(60)))
    );
    assert_eq!(server.run(Wish::Release { token }), Done::Was(true));
    assert!(held(server.run(Wish::Acquire { life: secs(1) })) > token);
}

#[test]
fn a_put_whose_lease_was_lost_with_its_item_is_refused() {
    let mut server = Server::default();
    let token = held(server.run(Wish::Acquire { life: secs(60) }));
    server.item = None;
    assert_eq!(server.run(put_with(5, Some(token))), Done::Put(PutOutcome::Fenced));
    server.run(put(3));
    assert_eq!(server.run(put_with(5, Some(token))), Done::Put(PutOutcome::Fenced));
    assert_eq!(server.run(Wish::Renew { token, life: secs(1) }), Done::Was(false));
}

#[test]
fn a_put_between_a_look_and_its_swap_meets_the_new_token() {
    let mut server = Server::default();
    let paused = held(server.run(Wish::Acquire { life: Duration::ZERO }));
    let mut late = Change::new(put_with(9, Some(paused)), "".into(), NOW, mins(5));
    let read = late.first();
    let answer = server.answer(&read);
    let swap = late.after(answer).unwrap();
    assert!(matches!(swap, Step::Swap(..)), "its token was the newest");
    held(server.run(Wish::Acquire { life: secs(60) }));
    let mut step = swap;
    while !matches!(step, Step::Done(_)) {
        let answer = server.answer(&step);
        step = late.after(answer).unwrap();
    }
    assert_eq!(step, Step::Done(Done::Put(PutOutcome::Fenced)));
    assert_eq!(server.head().unwrap().kind, Kind::Removed);
}

#[test]
fn the_server_keeps_a_token_for_ten_minutes_and_a_value_no_shorter_than_its_life() {
    let mut server = Server::default();
    let token = held(server.run(Wish::Acquire { life: secs(30) }));
    let wish = |ttl| {
        let how = Put { ttl, version: Sequence(1) };
        Wish::Put { value: "value".into(), how, token: Some(token) }
    };
    for (ttl, expiry) in [(Some(secs(5)), 640), (Some(mins(20)), 1_210), (None, 0)] {
        assert_eq!(server.run(wish(ttl)), Done::Put(PutOutcome::Stored));
        assert_eq!(server.expiry, expiry, "{ttl:?}");
    }
}

/// A value that tells its version.
fn value_of(version: Sequence) -> Bytes {
    version.0.to_le_bytes().to_vec().into()
}

fn wishes() -> impl Strategy<Value = Wish> {
    let version = || (0_u64..20).prop_map(Sequence);
    prop_oneof![
        3 => version().prop_map(|version| {
            Wish::Put { value: value_of(version), how: at(version.0), token: None }
        }),
        2 => (version(), version()).prop_map(|(version, expected)| {
            Wish::Swap { value: value_of(version), how: at(version.0), expected }
        }),
        1 => version().prop_map(|version| Wish::Refuse { version, token: None }),
        1 => Just(Wish::Acquire { life: secs(60) }),
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
            (Wish::Put { how, .. }, Step::Done(Done::Put(PutOutcome::Stored))) => how.version,
            (Wish::Swap { how, .. }, Step::Done(Done::Swapped(Swapped::Stored))) => how.version,
            (Wish::Refuse { version, .. }, Step::Done(Done::Put(PutOutcome::Refused))) => *version,
            (Wish::Remove { at }, Step::Done(_)) => *at,
            _ => Sequence::ZERO,
        };
        let highest = wishes.iter().zip(&changes).map(stored).max().unwrap();
        prop_assert!(newest >= highest, "{newest:?} stands under {highest:?}");
    }
}

#[test]
fn a_lease_that_the_server_forgot_is_another_one_within_the_same_millisecond() {
    let mut server = Server::default();
    let forgotten = held(server.run(Wish::Acquire { life: secs(60) }));
    server.item = None;
    let soon = Now { unix_micros: NOW.unix_micros + 1, ..NOW };
    let next = held(server.run_at(soon, Wish::Acquire { life: secs(60) }));
    assert!(next > forgotten);
}
