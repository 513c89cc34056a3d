//! What coherence costs on a Redis server of its own, on the loopback: a mark beside a read, a
//! number, a lease, and the time from publishing to hearing. Prints one JSON object a line.
//!
//! ```sh
//! cargo run -p cache-enterprise-redis --features real-servers --example coherence_costs
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_enterprise_core::coherence::{
    Acquired, Bus, EpochStore, EpochTarget, Heard, Lease, Sequence,
};
use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, Tag, ms, secs};
use cache_enterprise_redis::{Redis, RedisBackend, RedisBus};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;

const CALLS: usize = 2_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = RedisServer::start();
    let backend = Redis::url(&server.url()).unwrap().open().await.unwrap();
    calls(&backend).await;
    hearing(&backend).await;
    large_record(&backend).await;
    round_trips(&server).await;
}

/// Each call by itself, one after the other.
async fn calls(backend: &Arc<RedisBackend>) {
    let (epochs, lease) = (backend.epochs(), backend.lease());
    let key = KeySpace::new("shop", "acme", "users").unwrap().key(&1_u8).unwrap();
    let call = OpContext::default();
    backend.put(&key, Bytes::from(vec![b'x'; 128]), Put::default(), &call).await.unwrap();
    epochs.load("shop", "acme", Sequence::ZERO).await.unwrap();
    epochs.mark("shop", "acme").await.unwrap();

    timed("get", async || drop(backend.get(&key, &call).await.unwrap())).await;
    timed("mark", async || assert!(epochs.mark("shop", "acme").await.is_ok())).await;
    timed("get beside mark", async || {
        let both = tokio::join!(backend.get(&key, &call), epochs.mark("shop", "acme"));
        assert!(both.0.is_ok() && both.1.is_ok());
    })
    .await;
    timed("next", async || assert!(epochs.next("shop", "acme", Sequence::ZERO).await.is_ok()))
        .await;
    timed("raise a tag", async || {
        let target = [EpochTarget::Tag(Tag::from("org:7"))];
        epochs.raise("shop", "acme", &target, Sequence::ZERO).await.unwrap();
    })
    .await;
    timed("put", async || {
        backend.put(&key, Bytes::from_static(b"Ada"), Put::default(), &call).await.unwrap();
    })
    .await;
    timed("acquire and release a lease", async || {
        let Acquired::Held(token) = lease.acquire(&key, secs(9)).await.unwrap() else {
            panic!("nobody else is there");
        };
        lease.release(&key, token).await.unwrap();
    })
    .await;
}

/// From before a frame is published until a listener of another connection has it.
async fn hearing(backend: &Arc<RedisBackend>) {
    let bus = RedisBus::sharing(backend);
    let mut listener = bus.listen("shop").await.unwrap();
    timed("publish until heard", async || {
        bus.publish("shop", Bytes::from_static(b"frame")).await.unwrap();
        while !matches!(listener.next().await, Heard::Frame(_)) {}
    })
    .await;
    timed("publish", async || {
        bus.publish("shop", Bytes::from_static(b"frame")).await.unwrap();
    })
    .await;
}

/// What one raise costs a process that knows 100 000 targets.
async fn large_record(backend: &Arc<RedisBackend>) {
    let epochs = backend.epochs();
    let target = |number: usize| EpochTarget::Tag(Tag::from(format!("t{number}").as_str()));
    for first in (0..100_000).step_by(500) {
        let targets: Vec<_> = (first..first + 500).map(target).collect();
        epochs.raise("shop", "large", &targets, Sequence::ZERO).await.unwrap();
    }
    let started = Instant::now();
    let mut record = epochs.load("shop", "large", Sequence::ZERO).await.unwrap();
    print("load of 100000 targets", &mut [started.elapsed()]);
    let mut number = 0;
    timed("raise, then since, of 100000 targets", async || {
        number += 1;
        let raised = [target(number)];
        epochs.raise("shop", "large", &raised, Sequence::ZERO).await.unwrap();
        record = epochs.since("shop", "large", record.mark, record.sequence).await.unwrap();
    })
    .await;
}

/// With replies that take 50 ms, time counts round trips.
async fn round_trips(server: &RedisServer) {
    let proxy = TcpProxy::to(&server.address());
    let backend = Redis::url(&server.url_at(&proxy.address())).unwrap().open().await.unwrap();
    let epochs = backend.epochs();
    let key = KeySpace::new("shop", "acme", "users").unwrap().key(&1_u8).unwrap();
    let call = OpContext::default();
    let record = epochs.load("shop", "acme", Sequence::ZERO).await.unwrap();
    proxy.set(Fault::Latency(ms(50)));
    once("round trips: get", async || drop(backend.get(&key, &call).await.unwrap())).await;
    once("round trips: get beside mark", async || {
        let both = tokio::join!(backend.get(&key, &call), epochs.mark("shop", "acme"));
        assert!(both.0.is_ok() && both.1.is_ok());
    })
    .await;
    once("round trips: since", async || {
        epochs.since("shop", "acme", record.mark, record.sequence).await.unwrap();
    })
    .await;
    once("round trips: load", async || {
        epochs.load("shop", "acme", Sequence::ZERO).await.unwrap();
    })
    .await;
}

async fn once(what: &str, mut call: impl AsyncFnMut()) {
    let started = Instant::now();
    call().await;
    println!(r#"{{"what":"{what}","count":{:.1}}}"#, started.elapsed().as_secs_f64() / 0.05);
}

async fn timed(what: &str, mut call: impl AsyncFnMut()) {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        call().await;
        times.push(started.elapsed());
    }
    print(what, &mut times);
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let micros = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6;
    println!(r#"{{"what":"{what}","p50_us":{:.0},"p99_us":{:.0}}}"#, micros(50), micros(99));
}
