//! `l1_ratio` and `l2_ratio` are shares of one byte budget.

#![allow(clippy::unwrap_used)]

use cache_enterprise_core::Capacity;
use cache_enterprise_settings::{Format, LevelKind, LevelSettings, Settings};

fn sizes(text: &str) -> Vec<u64> {
    let settings = Settings::builder().text(Format::Toml, text).build().unwrap();
    let size = |level: &LevelSettings| match &level.kind {
        LevelKind::Memory { max_size: Capacity::Bytes(bytes), .. } => *bytes,
        LevelKind::Disk { max_size, .. } => *max_size,
        other => panic!("{other:?} has no bytes"),
    };
    settings.levels().iter().map(size).collect()
}

fn problem(text: &str) -> String {
    let errors = Settings::builder().text(Format::Toml, text).build().unwrap_err();
    let [problem] = errors.problems() else { panic!("{errors}") };
    problem.to_string()
}

#[test]
fn of_a_budget_or_after_the_first_level() {
    assert_eq!(
        sizes("[budget]\nmax_size = \"1GB\"\nl1_ratio = 0.2\nl2_ratio = 0.8\n"),
        [200_000_000, 800_000_000]
    );
    assert_eq!(sizes("[budget]\nmax_size = \"1001B\"\nl1_ratio = \"50%\"\n"), [500, 501]);
    let hybrid = "[cache_backends.memory]\nmax_size = \"1GB\"\neviction_policy = \"adaptive\"\n\
                  [cache_backends.hybrid]\nl1_ratio = 0.2\nl2_ratio = 0.8\npromotion_threshold = 10\n";
    assert_eq!(sizes(hybrid), [1_000_000_000, 4_000_000_000]);
    let settings = Settings::builder().text(Format::Toml, hybrid).build().unwrap();
    assert_eq!(settings.promote_after(), 10);
    let row = settings.describe().row("levels.1.max_size").unwrap();
    assert_eq!((row.value.as_str(), row.origin.to_string().as_str()), ("4GB", "text:5:1"));
}

#[test]
fn that_do_not_add_up_or_have_nothing_to_divide_are_problems() {
    assert_eq!(
        problem("[cache_backends.hybrid]\nmax_size = \"1GB\"\nl1_ratio = 0.2\nl2_ratio = 0.7\n"),
        "text:4:1: `cache_backends.hybrid.l2_ratio`: `cache_backends.hybrid.l1_ratio` and \
         `cache_backends.hybrid.l2_ratio` do not add to 1; correct one of the two"
    );
    assert_eq!(
        problem("[budget]\nl1_ratio = 0.2\n"),
        "text:2:1: `budget.l1_ratio`: there is no size in bytes to take shares of; write \
         `budget.max_size`"
    );
    assert_eq!(
        problem("[budget]\nmax_size = \"1GB\"\n"),
        "text:2:1: `budget.max_size`: nothing says how to share it; write `budget.l1_ratio` and \
         `budget.l2_ratio`"
    );
    assert_eq!(
        problem("l1_max_size = \"1GB\"\n[budget]\nmax_size = \"1GB\"\nl1_ratio = 0.2\n"),
        "text:1:1: `l1_max_size`: contradicts `budget.max_size` (text:3:1); write the size or \
         the share, not both"
    );
    assert_eq!(
        problem("[budget]\nmax_size = \"1GB\"\nl1_ratio = 1.0\n"),
        "text:3:1: `budget.l1_ratio`: leaves a level without a share; switch that level off"
    );
    assert_eq!(
        problem("[budget]\nmax_size = \"1GB\"\nl1_ratio = 0.5\n[levels.1]\nkind = \"redis\"\n"),
        "text:3:1: `budget.l1_ratio`: the first two levels cannot share a budget; make both of \
         kind memory or disk and switch them on"
    );
}
