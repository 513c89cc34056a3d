//! What a path means: a key under its canonical path, a key of another part, or nothing.

use crate::keys::{KEYS, Key, Kind};

/// A key of a part that this version does not read settings for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later {
    /// The path, or with `.*` at its end everything under it.
    pub(crate) path: &'static str,
    pub(crate) part: &'static str,
}

const fn later(path: &'static str, part: &'static str) -> Later {
    Later { path, part }
}

/// Keys that people know from elsewhere and that belong to parts with settings of their own.
pub(crate) const LATER: &[Later] = &[
    later("monitoring_enabled", "monitoring"),
    later("metrics_port", "monitoring"),
    later("health_check_interval", "monitoring"),
    later("monitoring.*", "monitoring"),
    later("metrics_config.*", "monitoring"),
    later("security_enabled", "security"),
    later("encryption_key", "security"),
    later("tenant_isolation", "security"),
    later("security.*", "security"),
    later("security_config.*", "security"),
    later("ml_predictions", "strategies"),
    later("auto_optimization", "strategies"),
    later("cluster_config.*", "coordination"),
];

/// What a path means.
pub(crate) enum Meaning {
    /// A key, under its canonical path.
    Key(&'static Key, String),
    /// A table in which keys lie, under its canonical path.
    Table(String),
    /// A key of a part without settings here.
    Later(&'static Later),
    Unknown,
}

/// Names in the map of backends that mean no backend of a level or beside the levels: the first
/// level, whose keys they are, and the division of one budget, whose keys are aliases.
const NO_BACKENDS: [&str; 2] = ["memory", "hybrid"];

/// What the path of these parts, in lower case, means.
pub(crate) fn meaning(parts: &[&str]) -> Meaning {
    let written = parts.join(".");
    if let Some((key, canonical)) = key_of(parts) {
        return Meaning::Key(key, canonical);
    }
    let in_map = backends_map(parts);
    if let Some((key, canonical)) = in_map.as_deref().and_then(key_of) {
        return Meaning::Key(key, canonical);
    }
    if let Some(later) = LATER.iter().find(|later| is_under(later.path, &written)) {
        return Meaning::Later(later);
    }
    if let Some(["backends", name]) = in_map.as_deref().or(Some(parts))
        && NO_BACKENDS.contains(name)
    {
        return Meaning::Table(format!("backends.{name}"));
    }
    let parts = in_map.as_deref().unwrap_or(parts);
    let patterns = KEYS.iter().flat_map(|key| {
        std::iter::once(key.path).chain(key.aliases.iter().map(|(alias, _)| *alias))
    });
    if patterns.into_iter().any(|pattern| is_table_of(pattern, parts)) {
        return Meaning::Table(parts.join("."));
    }
    Meaning::Unknown
}

/// The key that these parts are or stand for, with its canonical path.
fn key_of(parts: &[&str]) -> Option<(&'static Key, String)> {
    let written = parts.join(".");
    let alias_of = |key: &'static Key| {
        let (_, stands_for) = key.aliases.iter().find(|(alias, _)| *alias == written)?;
        Some((key, (*stands_for).to_owned()))
    };
    if let Some(aliased) = KEYS.iter().find_map(alias_of) {
        return Some(aliased);
    }
    if let ["backends", name, field] = parts
        && (is_backend(name) || *name == "memory")
    {
        let field = if *field == "type" { "kind" } else { field };
        if *name == "memory" {
            let path = format!("levels.0.{field}");
            return Some((find(&path)?, path));
        }
        let of_levels = find(&format!("levels.0.{field}"));
        let key = of_levels.or_else(|| find(&written))?;
        return Some((key, format!("backends.{name}.{field}")));
    }
    let key = KEYS.iter().find(|key| matches(key.path, parts))?;
    Some((key, written))
}

/// The parts as they stand in `backends`, for the other names that people give that map.
fn backends_map<'a>(parts: &[&'a str]) -> Option<Vec<&'a str>> {
    let (["cache_config", "backends", rest @ ..] | ["cache_backends", rest @ ..]) = parts else {
        return None;
    };
    Some(std::iter::once("backends").chain(rest.iter().copied()).collect())
}

/// Whether the map of backends has a backend of this name.
pub(crate) fn is_backend(name: &str) -> bool {
    !name.is_empty() && !is_number(name) && !NO_BACKENDS.contains(&name)
}

/// The key whose canonical path this is.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    let parts: Vec<_> = path.split('.').collect();
    KEYS.iter().find(|key| matches(key.path, &parts))
}

/// The key or alias nearest to what was written, when one is near.
pub(crate) fn nearest(parts: &[&str]) -> Option<String> {
    let written = parts.join(".");
    let last = parts.last().copied().unwrap_or_default();
    let index = parts.iter().find(|part| is_number(part)).copied().unwrap_or("0");
    let candidates = KEYS.iter().filter(|key| key.kind != Kind::Free).flat_map(|key| {
        let path = key.path.replace('*', index);
        std::iter::once(path).chain(key.aliases.iter().map(|(alias, _)| (*alias).to_owned()))
    });
    let scored = candidates.map(|candidate| (distance(&written, last, &candidate), candidate));
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + written.len() / 5).then_some(candidate)
}

/// Typing errors between the two, where a right name in a wrong place counts as one.
fn distance(written: &str, last: &str, candidate: &str) -> usize {
    let whole = strsim::damerau_levenshtein(written, candidate);
    let candidate_last = candidate.rsplit('.').next().unwrap_or(candidate);
    if last == candidate_last { whole.min(1) } else { whole }
}

fn matches(pattern: &str, parts: &[&str]) -> bool {
    let pattern: Vec<_> = pattern.split('.').collect();
    pattern.len() == parts.len() && fits(&pattern, parts)
}

/// Whether keys of this pattern lie in the table `parts`.
fn is_table_of(pattern: &str, parts: &[&str]) -> bool {
    let pattern: Vec<_> = pattern.split('.').collect();
    pattern.len() > parts.len() && fits(&pattern[..parts.len()], parts)
}

fn fits(pattern: &[&str], parts: &[&str]) -> bool {
    pattern.iter().zip(parts).enumerate().all(|(place, (name, part))| match (*name, place) {
        ("*", 1) if pattern[0] == "backends" => is_backend(part),
        ("*", 1) => is_number(part),
        ("*", _) => !part.is_empty(),
        (name, _) => name == *part,
    })
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_under(pattern: &str, written: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(table) => {
            written.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }
        None => pattern == written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(written: &str) -> Option<String> {
        nearest(&written.split('.').collect::<Vec<_>>())
    }

    #[test]
    fn keys_of_later_parts_are_no_keys_of_this_one() {
        for later in LATER {
            let path = later.path.replace('*', "anything");
            let parts: Vec<_> = path.split('.').collect();
            assert!(matches!(meaning(&parts), Meaning::Later(_)), "{path}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_key_and_nonsense_with_none() {
        for (written, meant) in [
            ("nmae", "name"),
            ("timeout.read", "timeouts.read"),
            ("levels.1.maxsize", "levels.1.max_size"),
            ("levels.2.options.x.path", "levels.2.path"),
            ("max_size", "levels.0.max_size"),
            ("compresion_enabled", "compression_enabled"),
            ("jitter", "defaults.jitter"),
        ] {
            assert_eq!(near(written).as_deref(), Some(meant), "{written}");
        }
        assert_eq!(near("colour_of_the_sky"), None);
    }
}
