//! What holds wherever values, epochs and the bus lie.

use std::time::{Duration, Instant};

use cache_enterprise_testkit::wait;

use crate::fleet::Place;

pub(crate) fn a_removal_ends_every_copy(place: &Place, name: &str) {
    let (one, other) = (place.member(name), place.member(name));
    assert_eq!(one.ask("set 1 10"), "yes");
    assert_eq!(other.ask("get 1"), "10");
    assert_eq!(one.ask("remove 1"), "yes");
    other.await_answer("peek 1", "-");
    assert_eq!(other.ask("get 1"), "-");
    assert_eq!(one.ask("set 1 11 a"), "yes");
    assert_eq!(other.ask("get 1"), "11");
    assert_eq!(other.ask("invalidate a"), "yes");
    one.await_answer("peek 1", "-");
    assert_eq!(one.ask("get 1"), "-");
}

pub(crate) fn a_load_that_a_removal_overtook_stores_nowhere(place: &Place, name: &str) {
    let (one, other) = (place.member(name), place.member(name));
    for key in 0..10 {
        let load = other.begin(&format!("gated {key} 10"));
        other.await_load(key);
        assert_eq!(one.ask(&format!("remove {key}")), "yes");
        other.ask(&format!("go {key}"));
        assert_eq!(load.answer(), "10", "its own caller has it");
        assert_eq!(one.ask(&format!("get {key}")), "-", "nobody stored it");
        other.await_answer(&format!("peek {key}"), "-");
    }
}

pub(crate) fn a_load_that_a_tag_overtook_is_served_to_nobody(place: &Place, name: &str) {
    let (one, other) = (place.member(name), place.member(name));
    for key in 0..10 {
        let load = other.begin(&format!("gated {key} 10 a"));
        other.await_load(key);
        assert_eq!(one.ask("invalidate a"), "yes");
        other.ask(&format!("go {key}"));
        assert_eq!(load.answer(), "10");
        assert_eq!(one.ask(&format!("get {key}")), "-");
        other.await_answer(&format!("peek {key}"), "-");
        assert_eq!(other.ask(&format!("get {key}")), "-");
    }
}

/// The process that loads dies in the middle; another loads, stores, and is read.
pub(crate) fn a_killed_loader_holds_nobody_up(place: &Place, name: &str) {
    let (one, doomed) = (place.member(name), place.member(name));
    let _ = doomed.begin("gated 1 10");
    doomed.await_load(1);
    doomed.kill();
    assert_eq!(one.ask("load 1 11"), "11");
    let late = place.member(name);
    assert_eq!(late.ask("get 1"), "11");
    assert_eq!(late.ask("loads"), "0");
}

/// A process that stands still for longer than level 1 may be unsure, and then goes on.
pub(crate) fn a_stopped_process_serves_nothing_old_when_it_goes_on(place: &Place, name: &str) {
    let (one, stopped) = (place.member(name), place.member(name));
    assert_eq!(one.ask("set 1 10"), "yes");
    assert_eq!(stopped.ask("get 1"), "10");
    let load = stopped.begin("gated 2 20");
    stopped.await_load(2);
    stopped.stop();
    let since = Instant::now();
    assert_eq!(one.ask("set 1 11"), "yes");
    assert_eq!(one.ask("remove 2"), "yes");
    assert_eq!(one.ask("load 2 21"), "21");
    wait::until("it has stood still", || since.elapsed() > Duration::from_millis(1_500));
    stopped.go_on();
    stopped.ask("go 2");
    assert_eq!(load.answer(), "20", "its own caller has what it loaded");
    assert_eq!(one.ask("get 2"), "21", "and nobody stored it");
    stopped.await_answer("get 1", "11");
    // Its write came after its own time limit, and is taken back: that may cost the newer value
    // below, and never brings the old one back.
    wait::until("the old value is gone", || stopped.ask("get 2") != "20");
    for _ in 0..20 {
        assert!(["21", "-"].contains(&&*stopped.ask("get 2")));
    }
}
