//! Loads of which one process has the turn: it is waited for, it dies, it stands still.

use std::time::{Duration, Instant};

use cache_enterprise_testkit::wait;

use crate::fleet::{Member, Pending, Place};

/// How long the engine's leases last.
const LIFE: Duration = Duration::from_secs(10);

/// How much earlier a lease may end: memcached counts whole seconds.
const EARLIER: Duration = Duration::from_secs(2);

/// Keys under which a story is tried until every member got an answer about its turn. One that
/// waits too long for it loads without: that is what a busy machine may make of a story.
const KEYS: std::ops::Range<u64> = 0..20;

fn have_asked_in_time(members: &[Member]) -> bool {
    members.iter().all(|member| member.ask("unturned") == "0")
}

/// Begins a load in each of `members`, and waits until all of them wait for the one who has the
/// turn.
fn begin_to_wait<'a>(members: &'a [Member], key: u64, value: u64) -> Vec<Pending<'a>> {
    let misses = |member: &Member| member.ask("misses").parse::<u64>().unwrap();
    let begun: Vec<_> = members
        .iter()
        .zip(value..)
        .map(|(member, value)| (misses(member), member.begin(&format!("turn {key} {value}"))))
        .collect();
    // The second look into the tier comes after it was told that another has the turn.
    let waits = |(before, load): &(u64, Pending<'_>), member| {
        load.is_answered() || misses(member) >= before + 2
    };
    wait::until("the others wait", || {
        begun.iter().zip(members).all(|(begun, member)| waits(begun, member))
    });
    begun.into_iter().map(|(_, load)| load).collect()
}

/// Five processes want a key: one loads, and the others have its value.
pub(crate) fn one_of_five_processes_loads(place: &Place, name: &str) {
    for key in KEYS {
        let members: Vec<Member> = (0..5).map(|_| place.member(name)).collect();
        let (holder, others) = members.split_first().unwrap();
        let load = holder.begin(&format!("held {key} 10"));
        holder.await_load(key);
        let waiting = begin_to_wait(others, key, 11);
        holder.ask(&format!("go {key}"));
        let values: Vec<String> = waiting.into_iter().map(Pending::answer).collect();
        assert_eq!(load.answer(), "10");
        if have_asked_in_time(&members) {
            assert_eq!(values, ["10"; 4]);
            assert!(others.iter().all(|member| member.ask("loads") == "0"));
            return;
        }
    }
    panic!("no answer about a turn came in time");
}

/// The one who has the turn is killed while it loads: when its lease is over, one of the others
/// loads, and all have that value.
pub(crate) fn a_killed_holder_is_waited_for_no_longer_than_its_lease(place: &Place, name: &str) {
    for key in KEYS {
        let others: Vec<Member> = (0..4).map(|_| place.member(name)).collect();
        let doomed = place.member(name);
        let before = Instant::now();
        let _ = doomed.begin(&format!("held {key} 10"));
        doomed.await_load(key);
        let has_turn = doomed.ask("unturned") == "0";
        let waiting = begin_to_wait(&others, key, 11);
        doomed.kill();
        let killed = Instant::now();
        let values: Vec<String> = waiting.into_iter().map(Pending::answer).collect();
        assert!(killed.elapsed() < 2 * LIFE, "they waited for {:?}", killed.elapsed());
        let late = place.member(name);
        let get = format!("get {key}");
        let kept = late.ask(&get);
        assert!(values.contains(&kept) && kept != "10", "{kept} is kept, of {values:?}");
        if has_turn && have_asked_in_time(&others) {
            assert!(before.elapsed() > LIFE - EARLIER, "they did not wait");
            assert_eq!(values, [&*kept; 4], "one loaded for all");
            let loads = others.iter().map(|member| member.ask("loads").parse::<u64>().unwrap());
            assert_eq!(loads.sum::<u64>(), 1);
            return;
        }
    }
    panic!("no answer about a turn came in time");
}

/// The one who has the turn stands still for longer than its lease. Meanwhile another removes one
/// key and loads it anew, and sets another; what the holder brings when it goes on is refused.
pub(crate) fn a_stopped_holder_comes_too_late(place: &Place, name: &str) {
    let (one, stopped) = (place.member(name), place.member(name));
    let loads = [1, 2].map(|key| {
        let load = stopped.begin(&format!("held {key} {key}0"));
        stopped.await_load(key);
        load
    });
    stopped.stop();
    assert_eq!(one.ask("remove 1"), "yes");
    // It waits for the lease of the holder, which renews it no more.
    assert_eq!(one.ask("turn 1 11"), "11");
    assert_eq!(one.ask("set 2 21"), "yes");
    stopped.go_on();
    for (key, load) in (1..).zip(loads) {
        stopped.ask(&format!("go {key}"));
        assert_eq!(load.answer(), format!("{key}0"), "its own caller has what it loaded");
        let (get, newer) = (format!("get {key}"), format!("{key}1"));
        assert_eq!(one.ask(&get), newer);
        assert_eq!(place.member(name).ask(&get), newer, "nobody stored the old value");
        assert_eq!(stopped.ask(&get), newer);
    }
}
