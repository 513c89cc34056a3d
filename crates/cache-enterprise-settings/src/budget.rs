//! One byte budget shared by the first two levels.
//!
//! `l1_ratio` and `l2_ratio` are shares of `budget.max_size`. Without that, the first level's own
//! size stands for its share and the second level's follows from it.

use cache_enterprise_core::Capacity;

use crate::level::is_on;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::tree::{Setting, Tree};
use crate::value::Typed;

/// Shares are reckoned in billionths, so that sizes beyond 2^53 stay exact.
const WHOLE: u128 = 1_000_000_000;

const L1: &str = "levels.0.max_size";
const L2: &str = "levels.1.max_size";

/// Gives the first two levels the sizes that follow from their shares.
pub(crate) fn divide(tree: &mut Tree) -> Result<(), Problem> {
    if ["budget.max_size", "budget.l1_ratio", "budget.l2_ratio", L1, L2]
        .iter()
        .any(|path| tree.is_faulty(path))
    {
        return Ok(());
    }
    let total = tree.get("budget.max_size").cloned();
    let ratios = [tree.get("budget.l1_ratio").cloned(), tree.get("budget.l2_ratio").cloned()];
    let Some(ratio) = ratios.iter().flatten().next() else {
        let Some(total) = total else { return Ok(()) };
        return Err(problem(
            &total,
            "nothing says how to share it",
            "write `budget.l1_ratio` and `budget.l2_ratio`",
        ));
    };
    let (first, second) = shares(&ratios)?;
    if !(takes_a_share(tree, 0) && takes_a_share(tree, 1)) {
        let fix = "make both of kind memory or disk and switch them on";
        return Err(problem(ratio, "the first two levels cannot share a budget", fix));
    }
    let origin = ratio.origin.clone();
    match total {
        Some(total) => divide_total(tree, &total, first),
        None => follow_first(tree, ratio, first, second, origin),
    }
}

fn takes_a_share(tree: &Tree, level: usize) -> bool {
    let kind = tree.get(&format!("levels.{level}.kind")).map(|setting| setting.typed.to_string());
    is_on(tree, level) && matches!(kind.as_deref(), Some("memory" | "disk"))
}

/// Both levels take their share of the total.
fn divide_total(tree: &mut Tree, total: &Setting, first: u128) -> Result<(), Problem> {
    let Typed::Size(bytes) = total.typed else { return Ok(()) };
    for path in [L1, L2] {
        if let Some(size) = tree.get(path) {
            return Err(contradiction(size, total));
        }
    }
    let l1 = part(bytes, first, WHOLE);
    let sizes = [(L1, l1), (L2, bytes.saturating_sub(l1))];
    if sizes.iter().any(|(_, size)| *size == 0) {
        return Err(problem(total, "leaves a level without a byte", "write a larger size"));
    }
    for (path, size) in sizes {
        let size = Typed::Capacity(Capacity::Bytes(size));
        tree.complete(path.to_owned(), size, total.origin.clone());
    }
    Ok(())
}

/// The second level's size follows from the first's.
fn follow_first(
    tree: &mut Tree,
    ratio: &Setting,
    first: u128,
    second: u128,
    origin: Origin,
) -> Result<(), Problem> {
    let Some(Typed::Capacity(Capacity::Bytes(l1))) = tree.get(L1).map(|size| &size.typed) else {
        return Err(problem(
            ratio,
            "there is no size in bytes to take shares of",
            "write `budget.max_size`",
        ));
    };
    if let Some(size) = tree.get(L2) {
        return Err(contradiction(size, ratio));
    }
    let l2 = part(*l1, second, first).max(1);
    tree.complete(L2.to_owned(), Typed::Capacity(Capacity::Bytes(l2)), origin);
    Ok(())
}

/// Both shares in billionths; a missing one is the rest.
fn shares(ratios: &[Option<Setting>; 2]) -> Result<(u128, u128), Problem> {
    let share = |setting: &Option<Setting>| match setting.as_ref()?.typed {
        // A share is from 0 to 1, so that its billionths fit.
        Typed::Share(share) => Some((share * WHOLE as f64).round() as u128),
        _ => None,
    };
    let (first, second) = (share(&ratios[0]), share(&ratios[1]));
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (Some(first), None) => (first, WHOLE - first),
        (None, Some(second)) => (WHOLE - second, second),
        (None, None) => (0, 0),
    };
    let Some(setting) = ratios.iter().flatten().next_back() else { return Ok((first, second)) };
    if first + second != WHOLE {
        let names: Vec<_> =
            ratios.iter().flatten().map(|setting| format!("`{}`", setting.written)).collect();
        let what = format!("{} do not add to 1", names.join(" and "));
        return Err(problem(setting, &what, "correct one of the two"));
    }
    if first == 0 || second == 0 {
        return Err(problem(setting, "leaves a level without a share", "switch that level off"));
    }
    Ok((first, second))
}

/// `bytes * share / of`, rounded down, capped at what a size can say.
fn part(bytes: u64, share: u128, of: u128) -> u64 {
    u64::try_from(u128::from(bytes) * share / of).unwrap_or(u64::MAX)
}

fn contradiction(size: &Setting, other: &Setting) -> Problem {
    let what = format!("contradicts `{}` ({})", other.written, other.origin);
    problem(size, &what, "write the size or the share, not both")
}

fn problem(setting: &Setting, what: &str, fix: &str) -> Problem {
    Problem::new(&setting.written, setting.origin.clone(), what, fix)
}
