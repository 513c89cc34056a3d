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
    later("redis_url", "redis"),
    later("redis_cluster", "redis"),
    later("cluster_nodes", "redis"),
    later("pool_size", "redis"),
    later("connection_pool_size", "redis"),
    later("pipeline_size", "redis"),
    later("cache_backends.redis.*", "redis"),
    later("cache_config.backends.redis.*", "redis"),
    later("performance_config.pipeline_size", "redis"),
    later("performance_config.connection_pool_size", "redis"),
    later("cache_backends.memcached.*", "memcached"),
    later("cache_config.backends.memcached.*", "memcached"),
    later("cache_config.default_backend", "redis"),
    later("default_backend", "redis"),
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
    /// A table in which keys lie.
    Table,
    /// A key of a part without settings here.
    Later(&'static Later),
    Unknown,
}

/// What the path of these parts, in lower case, means.
pub(crate) fn meaning(parts: &[&str]) -> Meaning {
    let written = parts.join(".");
    for key in KEYS {
        if matches(key.path, parts) {
            return Meaning::Key(key, written);
        }
        if let Some((_, stands_for)) = key.aliases.iter().find(|(alias, _)| *alias == written) {
            return Meaning::Key(key, (*stands_for).to_owned());
        }
    }
    if let Some(later) = LATER.iter().find(|later| is_under(later.path, &written)) {
        return Meaning::Later(later);
    }
    let patterns = KEYS.iter().flat_map(|key| {
        std::iter::once(key.path).chain(key.aliases.iter().map(|(alias, _)| *alias))
    });
    if patterns.into_iter().any(|pattern| is_table_of(pattern, parts)) {
        return Meaning::Table;
    }
    Meaning::Unknown
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
    pattern.iter().zip(parts).enumerate().all(|(place, (pattern, part))| match (*pattern, place) {
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
