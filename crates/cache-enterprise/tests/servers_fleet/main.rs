//! Stories of two and of five processes over real servers: each process is a child of the test,
//! with its own level 1, its own clock and its own connections.
#![allow(clippy::unwrap_used)]

mod fleet;
mod member;
mod stories;
mod stories_of_leases;
mod stories_of_one_redis;
mod stories_of_other_outages;
mod storm;

use std::time::Duration;

use cache_enterprise_testkit::servers::{MemcachedServer, RedisCluster, RedisServer};

use fleet::Place;

/// Plays every story that any place must pass, each in a manager's name of its own.
macro_rules! stories {
    ($place:ident $stories:ident: $($story:ident),+ $(,)?) => {
        $(
            #[test]
            fn $story() {
                crate::$stories::$story(&super::$place(), stringify!($story));
            }
        )+
    };
    ($($place:ident),+) => {
        $(mod $place {
            stories!(
                $place stories:
                a_removal_ends_every_copy,
                a_load_that_a_removal_overtook_stores_nowhere,
                a_load_that_a_tag_overtook_is_served_to_nobody,
                a_killed_loader_holds_nobody_up,
                a_stopped_process_serves_nothing_old_when_it_goes_on,
            );
            stories!($place storm: five_processes_agree_after_a_storm);
            stories!(
                $place stories_of_leases:
                one_of_five_processes_loads,
                a_killed_holder_is_waited_for_no_longer_than_its_lease,
                a_stopped_holder_comes_too_late,
            );
        })+
    };
}

stories!(one_redis, one_cluster, one_memcached);

fn one_redis() -> Place {
    Place::on_redis(RedisServer::start())
}

/// Nobody takes over from a node here, and a busy machine is no reason to call one dead.
fn one_cluster() -> Place {
    let patient = RedisCluster::options().node_timeout(Duration::from_secs(20));
    Place::on_a_cluster(patient.start(3, 0))
}

/// Values and epochs on memcached; the bus, which memcached has none of, on Redis.
fn one_memcached() -> Place {
    Place::on_memcached(MemcachedServer::start(), RedisServer::start())
}
