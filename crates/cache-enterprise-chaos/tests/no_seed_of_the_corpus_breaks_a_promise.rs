//! The corpus: seeds that are played in every run of the tests, those that once found something
//! among them. `cargo xtask chaos --seeds A..B` plays others.

use cache_enterprise_chaos::{run, run_all, run_plan};
use cache_enterprise_testkit::simulation::Plan;

/// Played in every run.
const CORPUS: u64 = 200;

/// Seeds that once broke a promise.
const MENDED: &[u64] = &[
    20, 29, 257, 287, 607, 1143, 1245, 1497, 2883, 3043, 3359, 3874, 10_647, 32_435, 52_559,
    93_446, 108_232, 122_422, 185_932, 428_949, 525_754, 534_513, 560_711, 860_343, 961_343,
];

#[test]
fn the_corpus_breaks_no_promise() {
    let mut broken = parking_lot::Mutex::new(Vec::new());
    let tally = run_all(0..CORPUS, 2, Plan::draw, |seed, report| {
        broken.lock().push((seed, report.violations.clone()));
        true
    });
    assert!(broken.get_mut().is_empty(), "cargo xtask chaos --seeds N..N+1 --trace: {broken:#?}");
    assert_eq!(tally.schedules, CORPUS);
}

#[test]
fn every_schedule_is_long_and_troubled_enough_to_show_something() {
    for seed in 0..CORPUS {
        let (shape, report) = (Plan::draw(seed).shape, run(seed, false));
        assert!(shape.processes >= 2 && !shape.tiers.is_empty(), "seed {seed}: {shape:?}");
        assert!(report.operations >= 200 && report.faults >= 3, "seed {seed}: {report:?}");
        assert!(report.raced >= 5, "seed {seed}: {report:?}");
    }
}

#[test]
fn seeds_that_found_something_find_it_no_more() {
    for &seed in MENDED {
        for plan in [Plan::draw_plain(seed), Plan::draw(seed)] {
            let report = run_plan(&plan, false);
            assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        }
    }
}

#[test]
fn a_seed_plays_the_same_story_twice() {
    for seed in [1, 2, 3, 30_000, 30_001, 30_008, 30_010, 177_600] {
        assert_eq!(run(seed, true).story, run(seed, true).story, "seed {seed}");
    }
}
