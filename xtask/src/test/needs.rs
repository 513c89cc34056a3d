//! Which real server the tests of a target need. A target says that it needs one by
//! `required-features = ["real-servers"]`, and which by how its name begins.

use std::fmt;

use crate::servers::Servers;

/// The feature that turns tests on real servers on.
pub(crate) const REAL_SERVERS: &str = "real-servers";

/// What the tests of a target run on, in the order in which they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    #[default]
    Nothing,
    Redis,
    RedisCluster,
    RedisSentinels,
    Memcached,
    Several,
}

/// How the names of targets begin; where two fit, the longer stands first.
const NAMES: [(&str, Needs); 5] = [
    ("redis_cluster_", Needs::RedisCluster),
    ("redis_sentinel", Needs::RedisSentinels),
    ("redis_", Needs::Redis),
    ("memcached_", Needs::Memcached),
    ("servers_", Needs::Several),
];

impl Needs {
    /// What a target on real servers needs; nothing when its name does not say it.
    pub(crate) fn of(target: &str) -> Option<Self> {
        NAMES.iter().find(|(beginning, _)| target.starts_with(beginning)).map(|(_, needs)| *needs)
    }

    /// The beginnings a name may have, for a person to choose from.
    pub(crate) fn names() -> String {
        NAMES.map(|(beginning, _)| format!("{beginning}*")).join(", ")
    }

    /// How it is called where tests are counted, with the version where there is one.
    pub(super) fn shown(self, servers: Option<&Servers>) -> impl fmt::Display {
        let version = |of: fn(&Servers) -> &str| servers.map(of).unwrap_or_default();
        let (name, version) = match self {
            Needs::Nothing => ("no server", ""),
            Needs::Redis => ("redis", version(|servers| &servers.redis)),
            Needs::RedisCluster => ("redis cluster", ""),
            Needs::RedisSentinels => ("redis sentinels", ""),
            Needs::Memcached => ("memcached", version(|servers| &servers.memcached)),
            Needs::Several => ("several servers", ""),
        };
        format!("{name} {version}").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_says_it() {
        assert_eq!(Needs::of("redis_keeps_the_contract"), Some(Needs::Redis));
        assert_eq!(Needs::of("redis_cluster_keeps_it"), Some(Needs::RedisCluster));
        assert_eq!(Needs::of("redis_sentinels_choose"), Some(Needs::RedisSentinels));
        assert_eq!(Needs::of("servers_of_three_levels"), Some(Needs::Several));
        assert_eq!(Needs::of("keeps_the_contract"), None);
    }

    #[test]
    fn versions_are_shown_where_there_are_some() {
        let servers = Servers { redis: "7.0".to_owned(), memcached: "1.6".to_owned() };
        let shown = |needs: Needs| needs.shown(Some(&servers)).to_string();
        assert_eq!(shown(Needs::Redis), "redis 7.0");
        assert_eq!(shown(Needs::RedisCluster), "redis cluster");
        assert_eq!(shown(Needs::Nothing), "no server");
    }
}
