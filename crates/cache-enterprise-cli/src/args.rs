//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};
use clap_complete::Shell;

/// A multi-level, multi-tenant cache: see it work, check its settings.
#[derive(Debug, Parser)]
#[command(name = "cachectl", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a cache under load, breaks a level of it, restarts it, and reports.
    ///
    /// Below memory lies a disk in a directory that is removed at the end, and needs nothing; or,
    /// with --redis, --redis-cluster and --memcached, the servers that are named. There the keys
    /// carry a name of this run; entries end within five minutes, and a record of epochs for each
    /// tenant stays. Nothing is flushed, and no server is touched otherwise. Every server must answer at the start; from then on one may go away, and
    /// the report tells what callers saw of it.
    Demo(DemoArgs),
    /// Prints the value under a key; exit code 1 when there is none, or a level does not answer.
    Get(Place),
    /// Puts text under a key.
    Set {
        #[command(flatten)]
        place: Place,
        /// The value: text, written with the codec of the settings. What begins with a dash and is
        /// no number stands after `--`.
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// How long it lives, such as 5m. Default: the settings', else for ever.
        #[arg(long, value_parser = humantime::parse_duration)]
        ttl: Option<Duration>,
        /// A label of the entry; may be given more than once.
        #[arg(long)]
        tag: Vec<String>,
    },
    /// Removes a key.
    Del(Place),
    /// Prints the seconds for which a key is still fresh, or `forever`; exit code 1 when it is not.
    Ttl(Place),
    /// Describes the copies of a key below memory: state, version, age, tags, formats, and for how
    /// long each is fresh, and kept to answer where a load fails.
    Inspect {
        #[command(flatten)]
        place: Place,
        /// Also prints the value: text as it is, anything else as JSON.
        #[arg(long)]
        show_value: bool,
    },
    /// Prints whether each level below memory answers, and the numbers of a disk.
    Stats {
        /// A settings file. Default: the standard file and the environment.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Replays recorded requests through eviction strategies: which of them hits most, and what
    /// more memory would bring.
    Simulate(SimulateArgs),
    /// Settings of a cache.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Prints the completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which entry of which cache.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The key, or the first part of a key that has several.
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// A further part of the key, such as the second member of a tuple; may be given more than
    /// once.
    #[arg(long = "part", value_name = "PART", allow_negative_numbers = true)]
    pub(crate) parts: Vec<String>,
    /// Name of the cache.
    #[arg(long, default_value = "default")]
    pub(crate) cache: String,
    /// The tenant. Default: the root tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A settings file. Default: the standard file and the environment.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Checks the settings and names everything that is wrong with them; exit code 2 if anything.
    Check {
        /// A TOML, YAML or JSON file. Default: the standard file and the environment.
        file: Option<PathBuf>,
    },
    /// Prints the settings in force and where each came from; secrets are not shown.
    Show {
        /// A TOML, YAML or JSON file. Default: the standard file and the environment.
        file: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// Level 2 is this Redis: `redis://[[user]:password@]host[:port][/database]`, rediss for TLS.
    #[arg(long, value_name = "URL", conflicts_with = "redis_cluster")]
    pub(crate) redis: Option<ServerName>,
    /// Level 2 is this Redis Cluster: nodes of it that are known, each as HOST:PORT or as a URL.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub(crate) redis_cluster: Vec<ServerName>,
    /// The level below Redis, or level 2 where there is none, is memcached on these servers.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub(crate) memcached: Vec<ServerName>,
    /// Breaks level 2, or the level named, in the middle of the load: cuts it off, lets it hang for
    /// more than two seconds, and heals it.
    ///
    /// Servers are reached through a TCP proxy of the demo for that, and are not touched
    /// themselves. A cluster and servers with TLS are reached by their own names only: there the
    /// demo spoils its own calls to the level. Without servers the disk is always broken so.
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
        default_missing_value = "2", value_parser = value_parser!(u8).range(2..=3))]
    pub(crate) outage: Option<u8>,
    /// Replays real requests: a .ctr.zst trace, an access log, or CSV with a header
    /// `key[,time,size,tenant]`. A pipe is kept in the temporary directory, so that
    /// `zcat access.log.gz | cachectl demo --trace /dev/stdin` works.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Milliseconds that the origin takes for a load. Default: 5, or 0 with --trace.
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(..=10_000))]
    pub(crate) origin_ms: Option<u64>,
    /// How long the load lasts; never shorter than the outage in its middle, about 4 seconds.
    /// With --trace, the replay ends there though the file goes on. Default: 10, or the whole
    /// file with --trace.
    #[arg(long, value_parser = value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: Option<u64>,
    /// What level 1 may hold, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = value_parser!(u64).range(1..=65_536))]
    pub(crate) capacity: u64,
    /// Decides every request, value and fault.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Prints the report as one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateArgs {
    /// A .ctr.zst trace, an access log, or CSV with a header `key[,time,size,tenant]`. Several
    /// files count as one, in this order, such as the parts of a rotated log.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What the cache may hold, in MiB; asks for requests with sizes. Default: a tenth of what all
    /// objects weigh together.
    #[arg(long, value_name = "MIB", conflicts_with = "entries", value_parser = value_parser!(u64).range(1..=16_777_216))]
    pub(crate) capacity: Option<u64>,
    /// What the cache may hold, in objects of whatever size.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) entries: Option<u64>,
    /// These strategies alone, such as lru,s3-fifo. Default: every one.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) strategy: Vec<String>,
    /// Prints a JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A server as the user names it. The text may hold a password, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerName(String);

impl ServerName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ServerName {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerName(***)")
    }
}

impl DemoArgs {
    pub(crate) fn origin_ms(&self) -> u64 {
        self.origin_ms.unwrap_or(if self.trace.is_some() { 0 } else { 5 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_origin_is_slow_only_without_a_trace() {
        let origin_ms = |line: &[&str]| match Cli::try_parse_from(line).unwrap().command {
            Command::Demo(demo) => demo.origin_ms(),
            other => panic!("parsed {other:?}"),
        };
        assert_eq!(origin_ms(&["cachectl", "demo"]), 5);
        assert_eq!(origin_ms(&["cachectl", "demo", "--trace", "x"]), 0);
        assert_eq!(origin_ms(&["cachectl", "demo", "--trace", "x", "--origin-ms", "7"]), 7);
    }

    #[test]
    fn servers_are_named_once_or_in_a_list() {
        let demo = |line: &[&str]| match Cli::try_parse_from(line).unwrap().command {
            Command::Demo(demo) => demo,
            other => panic!("parsed {other:?}"),
        };
        let three = demo(&[
            "cachectl",
            "demo",
            "--redis",
            "redis://:canary@a",
            "--memcached=b:1,c:2=3",
            "--outage",
        ]);
        let names: Vec<_> = three.memcached.iter().map(ServerName::as_str).collect();
        assert_eq!((names, three.outage), (vec!["b:1", "c:2=3"], Some(2)));
        assert!(!format!("{three:?}").contains("canary"));
        let named = demo(&["cachectl", "demo", "--redis-cluster", "a:1,b:2", "--outage=3"]);
        assert_eq!((named.redis_cluster.len(), named.outage), (2, Some(3)));
        let both = ["cachectl", "demo", "--redis", "redis://a", "--redis-cluster", "b:1"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for option in ["--seconds=0", "--capacity=0", "--origin-ms=-1", "--seed=x", "--outage=1"] {
            assert!(Cli::try_parse_from(["cachectl", "demo", option]).is_err(), "{option}");
        }
    }
}
