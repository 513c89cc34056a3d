//! The end of a runtime drops calls that wait in line, and the tasks that would serve them.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache_enterprise_core::{Backend, KeySpace, OpContext};
use cache_enterprise_memcached::Memcached;
use cache_enterprise_testkit::wait;

#[test]
fn with_reads_in_line_it_ends_at_once_and_in_order() {
    // It accepts, in its queue, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let inside = runtime.enter();
    let backend = Arc::new(Memcached::servers([address]).unwrap().open().unwrap());
    let space = KeySpace::new("shop", "acme", "users").unwrap();
    for number in 0..64_u32 {
        let (backend, begun) = (Arc::clone(&backend), Arc::clone(&begun));
        let key = space.key(&number).unwrap();
        runtime.spawn(async move {
            let ctx = OpContext::default();
            let mut call = backend.get(&key, &ctx);
            let first = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
            assert!(first.await.is_pending());
            begun.fetch_add(1, Ordering::AcqRel);
            drop(call.await);
        });
    }
    wait::until("every read waits", || begun.load(Ordering::Acquire) == 64);
    drop(inside);
    runtime.shutdown_background();
    wait::until("no task holds the backend", || Arc::strong_count(&backend) == 1);
}
