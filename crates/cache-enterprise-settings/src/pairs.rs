//! Limits that say something only beside each other.
//!
//! Where the program would follow one and drop the other in silence, both are named, unless nobody
//! wrote the other: a default gives way, and the description shows to what.

use std::time::Duration;

use crate::problem::Problem;
use crate::quantity::print_duration;
use crate::tree::{Setting, Tree};
use crate::value::Typed;

/// Makes defaults give way, and tells what contradicts each other.
pub(crate) fn settle(tree: &mut Tree, problems: &mut Vec<Problem>) {
    if is_on(tree, "breaker.enabled") {
        let (first, last) = ("breaker.recovery_timeout", "breaker.recovery_timeout_max");
        problems.extend(order(tree, first, last));
    }
    if is_on(tree, "hedge.enabled") {
        problems.extend(order(tree, "hedge.delay_min", "hedge.delay_max"));
        problems.extend(no_share(tree));
    }
    problems.extend(no_time(tree));
}

fn is_on(tree: &Tree, key: &str) -> bool {
    tree.get(key).is_some_and(|setting| setting.typed == Typed::Flag(true))
}

/// Two durations of which the first is not longer than the second.
fn order(tree: &mut Tree, low: &str, high: &str) -> Option<Problem> {
    let (lower, least) = time(tree, low)?;
    let (upper, most) = time(tree, high)?;
    if least <= most {
        return None;
    }
    let (lower, upper) = (lower.clone(), upper.clone());
    if upper.is_default() {
        tree.follow(high, &lower);
    } else if lower.is_default() {
        tree.follow(low, &upper);
    } else {
        let (least, most) = (print_duration(least), print_duration(most));
        let what = format!("{least} is more than `{}` ({most}, {})", upper.written, upper.origin);
        return Some(problem(&lower, what, "correct one of the two"));
    }
    None
}

/// Second attempts are counted by the per cent.
fn no_share(tree: &Tree) -> Option<Problem> {
    let setting = tree.get("hedge.share")?;
    let Typed::Share(share) = setting.typed else { return None };
    if share >= 0.005 {
        return None;
    }
    let what = format!("{share} is less than half a per cent, so that no read is attempted twice");
    Some(problem(setting, what, "write 1% or more, or set `hedge.enabled` to false"))
}

/// A further attempt starts within the time that all have.
fn no_time(tree: &Tree) -> Option<Problem> {
    let is_tried = |(path, setting): (&str, &Setting)| {
        let is_count = path == "retry.attempts" || path.ends_with(".retry_attempts");
        is_count && setting.typed != Typed::Count(0)
    };
    let (delay, wait) = time(tree, "retry.delay")?;
    let (within, all) = time(tree, "retry.within")?;
    if wait < all || !tree.iter().any(is_tried) {
        return None;
    }
    let (said, other, between) = match delay.is_default() {
        true => ((within, all), (delay, wait), "after"),
        false => ((delay, wait), (within, all), "within"),
    };
    let what = format!(
        "{} leaves no time for a further attempt {between} `{}` ({}, {})",
        print_duration(said.1),
        other.0.written,
        print_duration(other.1),
        other.0.origin,
    );
    Some(problem(said.0, what, "correct one of the two, or set `retry.attempts` to 0"))
}

fn time<'a>(tree: &'a Tree, key: &str) -> Option<(&'a Setting, Duration)> {
    let setting = tree.get(key)?;
    match setting.typed {
        Typed::Time(time) => Some((setting, time)),
        _ => None,
    }
}

fn problem(setting: &Setting, what: String, fix: &str) -> Problem {
    Problem::new(&setting.written, setting.origin.clone(), what, fix)
}
