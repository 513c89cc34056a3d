//! Policies by the names that users write into settings.

use std::sync::Arc;

use cache_enterprise_core::{Error, PolicyFactory, Result};

use super::{Composite, all};

/// Other spellings of names, as users of other libraries write them.
const ALIASES: [(&str, &str); 7] = [
    ("twoq", "2q"),
    ("s3fifo", "s3-fifo"),
    ("wtinylfu", "w-tinylfu"),
    ("ml-predictive", "learned"),
    ("second-chance", "clock"),
    ("business", "business-priority"),
    ("business-logic", "business-priority"),
];

/// The policy of this name with its usual parameters. Case does not matter, `_` stands for `-`,
/// and `twoq`, `s3fifo`, `wtinylfu` and `ml_predictive` are understood too. Several names joined by
/// `+` make a [`Composite`] in this order of rank.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
/// use cache_enterprise_strategies::eviction;
///
/// assert_eq!(eviction::resolve("S3_FIFO")?.name(), "s3-fifo");
/// assert_eq!(eviction::resolve("business_priority + lru")?.name(), "business-priority+lru");
/// let error = eviction::resolve("s4-fifo").expect_err("there is none of that name");
/// assert!(error.to_string().contains("nearest: s3-fifo"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](cache_enterprise_core::ErrorKind::Config) if there is no policy of this name; the
/// context lists the known ones and the nearest by spelling.
pub fn resolve(name: &str) -> Result<Arc<dyn PolicyFactory>> {
    if !name.contains('+') {
        return single(name);
    }
    let members = name.split('+').map(single).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Composite::new(members)?))
}

fn single(name: &str) -> Result<Arc<dyn PolicyFactory>> {
    let wanted = canonical(name);
    let mut known = all();
    if let Some(at) = known.iter().position(|policy| policy.name() == wanted) {
        return Ok(known.swap_remove(at));
    }
    let names: Vec<_> = known.iter().map(|policy| policy.name()).collect();
    let mut error = Error::config("no eviction policy has this name")
        .operation("choose the eviction policy")
        .with("known", names.join(", "));
    let nearest = names.iter().map(|known| (edits(&wanted, known), known)).min();
    if let Some((edits, nearest)) = nearest
        && edits * 2 <= nearest.len()
    {
        error = error.with("nearest", nearest);
    }
    Err(error)
}

/// The name in the spelling of the list.
pub(super) fn canonical(name: &str) -> String {
    let plain = name.trim().to_ascii_lowercase().replace('_', "-");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == plain);
    alias.map_or(plain, |(_, name)| (*name).to_owned())
}

/// How many bytes must be put in, left out or replaced to make one word of the other.
fn edits(from: &str, to: &str) -> usize {
    // A name from a file may be of any length; all that is longer than this is far from any.
    let from = &from.as_bytes()[..from.len().min(64)];
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, left) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(*left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use cache_enterprise_core::ErrorKind;

    use super::*;

    #[test]
    fn every_policy_is_found_by_its_own_name_and_no_two_share_one() {
        let mut names = Vec::new();
        for policy in all() {
            let found = resolve(policy.name()).expect("a listed policy resolves");
            assert_eq!(found.name(), policy.name());
            names.push(policy.name().to_owned());
        }
        let listed = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), listed);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = resolve("no-such-thing").expect_err("there is none of that name");
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(text.contains("fifo, lru") && !text.contains("nearest"), "{text}");
        assert!(resolve("lru+").is_err() && resolve(&"lru+".repeat(50)).is_err());
        assert!(resolve("").is_err() && resolve(&"x".repeat(100_000)).is_err());
    }

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in
            [("", "lru", 3), ("lru", "lru", 0), ("lur", "lru", 2), ("seive", "sieve", 2)]
        {
            assert_eq!(edits(from, to), count, "{from} to {to}");
        }
    }
}
