//! The rule against a cluster of words: time and answers are given by hand.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::view::Range;
use super::*;

const LIMITS: Limits = Limits {
    strikes: 2,
    ask_every: Duration::from_millis(250),
    refresh_every: Duration::from_millis(500),
    asked_max: 5,
};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn node(name: &str) -> Endpoint {
    Endpoint { host: name.to_owned(), port: 7000 }
}

/// Three shards with a replica each; `masters` says who leads them.
fn view(masters: [&str; 3]) -> View {
    let replica = |master: &str| match master.strip_suffix('2') {
        Some(name) => node(name),
        None => node(&format!("{master}2")),
    };
    let range = |index: usize| Range {
        first: [0, 5_461, 10_923][index],
        last: [5_460, 10_922, 16_383][index],
        master: node(masters[index]),
        replicas: vec![replica(masters[index])],
    };
    View { ranges: (0..3).map(range).collect() }
}

fn before() -> View {
    view(["a", "b", "c"])
}

fn after() -> View {
    view(["a", "b2", "c"])
}

fn table_of(view: View) -> SlotTable {
    SlotTable::empty().agreed(1, &[view])
}

/// A watchdog that learned `view` before the story began, with the links 1, 2, 3 to its masters.
fn watching(view: View, seeds: &[&str]) -> Watchdog {
    let seeds: Vec<Endpoint> = seeds.iter().copied().map(node).collect();
    let limits = Limits { ask_every: Duration::ZERO, refresh_every: Duration::ZERO, ..LIMITS };
    let mut watchdog = Watchdog::new(limits, seeds.clone());
    let panel = seeds;
    assert_eq!(watchdog.tick(at(0)), Some(Step::Ask { panel, suspects: vec![] }));
    let step = watchdog.answered(at(0), 1, &[view], &[]);
    let Some(Step::Build(masters)) = step else { panic!("{step:?}") };
    let links: Vec<_> = masters.iter().cloned().zip((1..).map(LinkId)).collect();
    assert!(matches!(watchdog.built(at(0), &masters, &links), Some(Step::Swap(_))));
    watchdog.limits = LIMITS;
    watchdog.last_round = None;
    watchdog.rounds = 0;
    watchdog
}

/// A watchdog over a, b and c with the links 1, 2 and 3.
fn watchdog() -> Watchdog {
    watching(before(), &["seed"])
}

fn suspects(watchdog: &Watchdog) -> Vec<String> {
    watchdog.suspects().map(|master| master.host.clone()).collect()
}

/// Lets `b` fail twice at once and takes the questions.
fn suspect_b(watchdog: &mut Watchdog, now: u64) -> Step {
    watchdog.failed(LinkId(2), at(now));
    watchdog.failed(LinkId(2), at(now));
    watchdog.tick(at(now)).expect("two strikes are answered by questions")
}

#[test]
fn who_knows_nothing_asks_the_seeds_until_one_answers() {
    let mut watchdog = Watchdog::new(LIMITS, vec![node("s"), node("t")]);
    let panel = vec![node("s"), node("t")];
    assert_eq!(watchdog.tick(at(0)), Some(Step::Ask { panel, suspects: vec![] }));
    assert_eq!(watchdog.answered(at(9), 2, &[], &[]), None);
    assert_eq!(watchdog.due(), Some(at(250)));
    watchdog.tick(at(250));
    let step = watchdog.answered(at(255), 2, &[before()], &[]);
    assert_eq!(step, Some(Step::Build(["a", "b", "c"].map(node).to_vec())), "one of two will do");
    let wanted = ["a", "b", "c"].map(node);
    let links = [(node("a"), LinkId(1)), (node("c"), LinkId(3))];
    let step = watchdog.built(at(260), &wanted, &links);
    let Some(Step::Swap(table)) = step else { panic!("{step:?}") };
    assert_eq!(table.masters(), [node("a"), node("c")]);
    assert_eq!((table.shard(6_000), watchdog.due()), (None, Some(at(750))), "b hangs, and is due");
}

#[test]
fn two_strikes_in_a_row_make_a_suspect_and_one_does_not() {
    let mut watchdog = watchdog();
    watchdog.failed(LinkId(2), at(0));
    watchdog.succeeded(LinkId(2));
    watchdog.failed(LinkId(2), at(10));
    watchdog.failed(LinkId(1), at(10));
    assert_eq!((suspects(&watchdog), watchdog.due()), (vec![], None));
    watchdog.failed(LinkId(2), at(20));
    assert_eq!(suspects(&watchdog), ["b"]);
    assert_eq!(watchdog.due(), Some(at(20)));
}

#[test]
fn others_are_asked_and_the_suspect_is_only_knocked_at() {
    let mut watchdog = watchdog();
    let step = suspect_b(&mut watchdog, 0);
    let panel = ["a", "c", "a2", "b2", "c2"].map(node).to_vec();
    assert_eq!(step, Step::Ask { panel, suspects: vec![node("b")] });
    assert_eq!(watchdog.due(), None, "a round is under way");
    assert_eq!(watchdog.tick(at(1_000)), None);
}

#[test]
fn the_link_stands_before_requests_take_it() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    let step = watchdog.answered(at(5), 5, &vec![after(); 3], &[]);
    assert_eq!(step, Some(Step::Build(vec![node("b2")])));
    assert_eq!(suspects(&watchdog), ["b"], "nothing was swapped yet");
    let step = watchdog.built(at(9), &[node("b2")], &[(node("b2"), LinkId(4))]);
    let Some(Step::Swap(table)) = step else { panic!("{step:?}") };
    assert!(table.routes_like(&table_of(before()).agreed(1, &[after()])));
    assert_eq!((suspects(&watchdog), watchdog.due()), (vec![], None));
}

#[test]
fn a_minority_moves_nothing_and_is_asked_again() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    let views = [after(), after(), before(), before(), before()];
    assert_eq!(watchdog.answered(at(5), 5, &views, &[]), None);
    assert_eq!(watchdog.due(), Some(at(250)));
    assert!(watchdog.tick(at(249)).is_none() && watchdog.tick(at(250)).is_some());
    assert_eq!(watchdog.answered(at(260), 5, &[after(), after()], &[]), None, "two of five");
    assert_eq!(watchdog.due(), Some(at(750)), "the pauses double, up to a second");
    let Some(Step::Ask { panel, .. }) = watchdog.tick(at(750)) else { panic!("no questions") };
    assert!(panel.contains(&node("b2")), "a minority calls it a master, so it is nobody's replica");
}

#[test]
fn a_link_that_cannot_be_built_swaps_nothing_and_is_tried_again() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    watchdog.answered(at(5), 5, &vec![after(); 5], &[]);
    assert_eq!(watchdog.built(at(100), &[node("b2")], &[]), None);
    assert_eq!((suspects(&watchdog), watchdog.due()), (vec!["b".to_owned()], Some(at(250))));
}

#[test]
fn late_timeouts_of_the_link_that_was_left_count_for_nothing() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    watchdog.answered(at(5), 5, &vec![after(); 5], &[]);
    watchdog.built(at(9), &[node("b2")], &[(node("b2"), LinkId(4))]);
    for _ in 0..64 {
        watchdog.failed(LinkId(2), at(500));
    }
    assert_eq!((suspects(&watchdog), watchdog.due()), (vec![], None));
}

#[test]
fn a_master_that_answers_a_new_connection_gets_a_new_link() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    let step = watchdog.answered(at(5), 5, &vec![before(); 5], &[node("b")]);
    assert_eq!(step, Some(Step::Build(vec![node("b")])), "the old link is a dead socket");
    let step = watchdog.built(at(9), &[node("b")], &[(node("b"), LinkId(4))]);
    assert_eq!(step, Some(Step::Swap(table_of(before()))), "the same table, a new link");
    watchdog.failed(LinkId(2), at(10));
    watchdog.failed(LinkId(2), at(10));
    assert_eq!(suspects(&watchdog), [""; 0]);
}

#[test]
fn a_master_that_came_back_after_its_fall_is_not_believed() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    let step = watchdog.answered(at(5), 5, &vec![after(); 3], &[node("b")]);
    assert_eq!(step, Some(Step::Build(vec![node("b2")])));
}

#[test]
fn a_suspect_that_answers_is_well_again() {
    let mut watchdog = watchdog();
    suspect_b(&mut watchdog, 0);
    watchdog.succeeded(LinkId(2));
    assert_eq!(watchdog.answered(at(5), 5, &vec![before(); 5], &[node("b")]), None);
    assert_eq!((suspects(&watchdog), watchdog.due()), (vec![], None));
}

#[test]
fn redirects_ask_at_most_once_a_pause_and_new_masters_get_their_slots() {
    let mut watchdog = watchdog();
    watchdog.redirected(at(0));
    assert!(
        matches!(watchdog.tick(at(0)), Some(Step::Ask { suspects, .. }) if suspects.is_empty())
    );
    assert_eq!(watchdog.answered(at(2), 5, &vec![before(); 5], &[]), None);
    for now in 3..9 {
        watchdog.redirected(at(now));
    }
    assert_eq!(watchdog.due(), Some(at(500)));
    watchdog.tick(at(500));
    let mut grown = before();
    grown.ranges[2].last = 16_000;
    let fresh = Range { first: 16_001, last: 16_383, master: node("d"), replicas: vec![] };
    grown.ranges.push(fresh);
    let step = watchdog.answered(at(505), 5, &vec![grown; 5], &[]);
    assert_eq!(step, Some(Step::Build(vec![node("d")])));
    let step = watchdog.built(at(507), &[node("d")], &[(node("d"), LinkId(9))]);
    assert!(matches!(step, Some(Step::Swap(table)) if table.masters().len() == 4));
}

#[test]
fn moves_between_known_masters_need_no_link_and_swap_at_once() {
    let mut watchdog = watchdog();
    watchdog.redirected(at(0));
    watchdog.tick(at(0));
    let mut moved = before();
    moved.ranges[0].last = 5_000;
    moved.ranges[1].first = 5_001;
    let step = watchdog.answered(at(2), 5, &vec![moved; 3], &[]);
    let Some(Step::Swap(table)) = step else { panic!("{step:?}") };
    assert_eq!(table.shard(5_001), table.shard(10_000));
}

#[test]
fn seeds_are_asked_when_nobody_else_is_left() {
    let mut watchdog = watchdog();
    for link in [1, 2, 3, 1, 2, 3] {
        watchdog.failed(LinkId(link), at(0));
    }
    let Some(Step::Ask { panel, suspects }) = watchdog.tick(at(0)) else { panic!("no questions") };
    assert_eq!(panel, ["a2", "b2", "c2", "seed"].map(node));
    assert_eq!(suspects, ["a", "b", "c"].map(node));

    // All of them moved to other addresses, which the name of the seed leads to by now.
    let step = watchdog.answered(at(5), 4, &[view(["x", "y", "z"])], &[]);
    assert_eq!(step, Some(Step::Build(["x", "y", "z"].map(node).to_vec())));

    let alone = View { ranges: vec![Range { replicas: vec![], ..before().ranges[0].clone() }] };
    let mut watchdog = watching(alone, &["seed", "a"]);
    watchdog.failed(LinkId(1), at(0));
    watchdog.failed(LinkId(1), at(0));
    let Some(Step::Ask { panel, .. }) = watchdog.tick(at(0)) else { panic!("no questions") };
    assert_eq!(panel, [node("seed"), node("a")]);
}

/// How a driver may be wrong. The judge below must notice each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Right,
    /// Takes the first voice for the majority.
    BelievesOne,
    /// Says that links stand which do not.
    SwapsFirst,
    /// Never asks.
    Sleeps,
}

/// When the shard of `b` was served again after its master hung at 0, on a cluster whose nodes
/// hear of the promotion at `heard` each; or what the judge saw that must not be.
///
/// A node that was cut off names a wrong master all the time (`liar`), and the new master takes
/// connections from `opens` on. Calls come every 10 ms and hang for 500 ms on a hung master.
fn outage(driver: Driver, heard: [u64; 5], liar: bool, opens: u64) -> Result<u64, String> {
    let mut watchdog = watchdog();
    let mut routes = table_of(before());
    let mut standing = BTreeSet::from([node("a"), node("b"), node("c")]);
    let mut ids = BTreeMap::from([(node("b"), LinkId(2))]);
    let promoted = heard[2];
    for now in (0..30_000).step_by(10) {
        let shard = routes.shard(6_000).ok_or("the shard is unserved")?;
        let master = routes.masters()[shard].clone();
        if !standing.contains(&master) {
            return Err(format!("{now} ms: requests go to {master} and no link stands"));
        }
        match master.host.as_str() {
            "b2" if now < promoted => return Err(format!("{now} ms: b2 is no master yet")),
            "b2" => return Ok(now),
            "b" if now >= 500 => watchdog.failed(ids[&master], at(now)),
            "b" => {}
            other => return Err(format!("{now} ms: {other} never was the master")),
        }
        let mut step = if driver == Driver::Sleeps { None } else { watchdog.tick(at(now)) };
        while let Some(doing) = step {
            step = match doing {
                Step::Ask { panel, .. } => {
                    let mut views: Vec<View> = heard
                        .iter()
                        .map(|heard| if now >= *heard { after() } else { before() })
                        .collect();
                    if liar {
                        views[0] = view(["a", "x", "c"]);
                    }
                    views.truncate(if driver == Driver::BelievesOne { 1 } else { panel.len() });
                    watchdog.answered(at(now), views.len(), &views, &[])
                }
                Step::Build(masters) => {
                    let works = now >= opens || driver == Driver::SwapsFirst;
                    let mut links = Vec::new();
                    for master in masters.iter().filter(|_| works) {
                        ids.insert(master.clone(), LinkId(now + 10));
                        links.push((master.clone(), LinkId(now + 10)));
                        if now >= opens {
                            standing.insert(master.clone());
                        }
                    }
                    watchdog.built(at(now), &masters, &links)
                }
                Step::Swap(next) => {
                    routes = next;
                    None
                }
            };
        }
    }
    Err("the shard stayed away for 30 s".to_owned())
}

/// Election and the time until more than half know, until the link can be built, and the pauses
/// of the rule itself: nothing else may add to an outage.
fn bound(heard: [u64; 5], opens: u64) -> u64 {
    let mut heard = heard;
    heard.sort_unstable();
    heard[2].max(opens).max(500) + 1_000 + 20
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_gossip_a_hung_shard_is_back_within_its_bound(
        election in 600_u64..6_000,
        late in prop::array::uniform5(0_u64..2_000),
        opens in 0_u64..9_000,
    ) {
        let heard = late.map(|late| election + late);
        let heard = [heard[0], heard[1], heard.iter().copied().min().unwrap_or(0), heard[3], heard[4]];
        let back = outage(Driver::Right, heard, false, opens);
        prop_assert!(matches!(back, Ok(back) if back <= bound(heard, opens)), "{:?}", back);
    }

    #[test]
    fn one_node_that_names_a_wrong_master_is_never_followed(
        election in 600_u64..6_000,
        late in prop::array::uniform5(0_u64..2_000),
    ) {
        let heard = late.map(|late| election + late);
        let heard = [heard[0], heard[1], election, heard[3], heard[4]];
        let back = outage(Driver::Right, heard, true, 0);
        prop_assert!(matches!(back, Ok(back) if back <= election + 2_000 + 1_000 + 20), "{:?}", back);
    }
}

/// The judge is not blind: each way to be wrong is seen.
#[test]
fn broken_drivers_are_noticed() {
    let heard = [3_000; 5];
    assert_eq!(outage(Driver::Right, heard, true, 3_500), Ok(4_270));
    let wrong = outage(Driver::BelievesOne, heard, true, 0).expect_err("follows the liar");
    assert!(wrong.contains("x never was"), "{wrong}");
    let wrong = outage(Driver::SwapsFirst, heard, false, 9_000).expect_err("swaps first");
    assert!(wrong.contains("no link stands"), "{wrong}");
    let wrong = outage(Driver::Sleeps, heard, false, 0).expect_err("never asks");
    assert!(wrong.contains("stayed away"), "{wrong}");
}
