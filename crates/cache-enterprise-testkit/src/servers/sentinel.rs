//! A primary and two replicas that three Sentinels watch.

use std::time::Duration;

use super::process::START_UP;
use super::redis::{RedisOptions, RedisServer, Role};
use crate::wait;

const MASTER_NAME: &str = "tested";
const REPLICAS: usize = 2;
const SENTINELS: usize = 3;
/// How many Sentinels have to agree that the primary is down.
const QUORUM: usize = 2;
/// How long the primary may be silent before a Sentinel calls it down.
const DOWN_AFTER: Duration = Duration::from_millis(1_000);

/// How long Sentinels may take to act. One that was not scheduled for two seconds trusts nobody's
/// clock and does nothing for 30 s (its manual calls it TILT); an election in which the votes split
/// is held again after 20 s; a role is believed after a further 10 to 20 s. Two pauses and a split
/// fit.
const ACT_WITHIN: Duration = Duration::from_secs(120);

/// How often the whole start is tried when somebody else took a port that was free.
const STARTS_TRIED: usize = 3;

/// One primary, two replicas and the three Sentinels that choose the next primary; all end when it
/// is dropped. A primary counts as down after 1 s of silence.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::RedisSentinels;
///
/// let redis = RedisSentinels::start();
/// let old = redis.primary().address();
/// redis.primary().kill();
/// let new = redis.await_new_primary(&old);
/// assert!(new.cli(&["ROLE"]).starts_with("master"));
/// ```
#[derive(Debug)]
pub struct RedisSentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// Starts all six and waits until the Sentinels know each other and the replicas.
    ///
    /// # Panics
    /// When a program is missing or they do not come up.
    pub fn start() -> Self {
        Self::start_with(RedisServer::options())
    }

    /// As [`start`](Self::start), with these options of primary and replicas; a password is told to
    /// the Sentinels, who have none themselves.
    ///
    /// # Panics
    /// When a program is missing or they do not come up.
    pub fn start_with(options: RedisOptions) -> Self {
        let started = (0..STARTS_TRIED).find_map(|_| Self::try_start(&options));
        started.expect("the free ports of six servers are left to us")
    }

    fn try_start(options: &RedisOptions) -> Option<Self> {
        let up = |server: RedisServer| server.comes_up().then_some(server);
        let primary = up(RedisServer::spawn(options.clone(), Role::Standalone))?;
        let port = primary.port();
        let mut servers = vec![primary];
        for _ in 0..REPLICAS {
            servers.push(up(RedisServer::spawn(options.clone(), Role::ReplicaOf(port)))?);
        }
        let linked = |server: &RedisServer| {
            server.answers_with(&["INFO", "replication"], "master_link_status:up")
        };
        // Before the Sentinels look: they learn of replicas from the primary, every ten seconds.
        let all_linked = wait::holds_within(START_UP, || servers[1..].iter().all(linked));
        assert!(all_linked, "the replicas are not linked; log:\n{}", servers[1].log());
        let role = Role::Sentinel {
            master_name: MASTER_NAME,
            primary: port,
            quorum: QUORUM,
            down_after: DOWN_AFTER,
        };
        let spawn = |_| up(RedisServer::spawn(options.clone(), role.clone()));
        let sentinels = (0..SENTINELS).map(spawn).collect::<Option<Vec<_>>>()?;
        let all = RedisSentinels { servers, sentinels };
        let known = wait::holds_within(START_UP, || {
            all.sentinels.iter().all(|sentinel| {
                let view = sentinel.ask(&["SENTINEL", "MASTER", MASTER_NAME]).unwrap_or_default();
                field(&view, "num-slaves") == Some("2")
                    && field(&view, "num-other-sentinels") == Some("2")
                    && field(&view, "flags") == Some("master")
            })
        });
        assert!(known, "the Sentinels do not know all; log:\n{}", all.sentinels[0].log());
        Some(all)
    }

    /// The name under which the Sentinels watch the primary.
    pub fn master_name(&self) -> &str {
        MASTER_NAME
    }

    /// The three Sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// `127.0.0.1:PORT` of every Sentinel.
    pub fn sentinel_addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::address).collect()
    }

    /// The three servers of data: at first the primary and two replicas.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The primary, as most of the running Sentinels see it.
    ///
    /// # Panics
    /// When they do not agree.
    pub fn primary(&self) -> &RedisServer {
        self.primary_by_majority().expect("most of the Sentinels agree on the primary")
    }

    /// Waits until the Sentinels name a primary other than the one at `old_address`, and until
    /// that server takes writes.
    ///
    /// # Panics
    /// When that does not come within 120 s; the text is the log of a Sentinel.
    pub fn await_new_primary(&self, old_address: &str) -> &RedisServer {
        let mut new = None;
        let found = wait::holds_within(ACT_WITHIN, || {
            // The old one may hang: it is not asked.
            let named = self.primary_by_majority().filter(|named| named.address() != old_address);
            new = named.filter(|server| {
                server.ask(&["ROLE"]).is_some_and(|role| role.starts_with("master"))
            });
            new.is_some()
        });
        let log = || self.sentinels[0].log();
        assert!(found, "nobody follows {old_address} as primary; a Sentinel's log:\n{}", log());
        new.expect("was found")
    }

    /// Waits until the Sentinels have made a former primary that is back a replica.
    ///
    /// # Panics
    /// When that does not come within 120 s; the text is the log of a Sentinel.
    pub fn await_demotion(&self, old: &RedisServer) {
        let is_replica = || old.answers_with(&["ROLE"], "slave");
        let log = || self.sentinels[0].log();
        let told = wait::holds_within(ACT_WITHIN, is_replica);
        assert!(
            told,
            "nobody told {} that it is a replica; a Sentinel's log:\n{}",
            old.address(),
            log()
        );
    }

    fn primary_by_majority(&self) -> Option<&RedisServer> {
        let running: Vec<_> = self.sentinels.iter().filter(|s| s.is_running()).collect();
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
        let views: Vec<String> = running.iter().filter_map(|s| s.ask(&command)).collect();
        let most = views
            .iter()
            .find(|view| 2 * views.iter().filter(|other| other == view).count() > running.len())?;
        let port: u16 = most.lines().nth(1)?.parse().ok()?;
        self.servers.iter().find(|server| server.port() == port)
    }
}

/// The line after the line `name` in a list of names and values.
fn field<'a>(printed: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = printed.lines();
    while let Some(line) = lines.next() {
        let value = lines.next();
        if line == name {
            return value;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_line_after_its_name() {
        let printed = "name\nflags\nflags\nmaster\nnum-slaves\n2";
        assert_eq!(field(printed, "flags"), Some("master"));
        assert_eq!(field(printed, "num-slaves"), Some("2"));
        assert_eq!(field(printed, "quorum"), None);
    }
}
