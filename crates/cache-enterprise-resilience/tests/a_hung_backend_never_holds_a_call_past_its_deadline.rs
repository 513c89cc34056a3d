//! A backend stops answering in the middle of a burst: every call ends within its own bound, in
//! paused time to the millisecond.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext, Put, ms};
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::{ModelBackend, Seed};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_hung_backend_never_holds_a_call_past_its_deadline() {
    let chaos = Arc::new(ChaosBackend::new(Arc::new(ModelBackend::new(Clock::manual())), Seed(1)));
    // The breaker never opens here, so that each call meets the hung backend itself.
    let patient = CircuitBreakerConfig { failure_threshold: u32::MAX, ..Default::default() };
    let stack = (Arc::clone(&chaos) as Arc<dyn Backend>)
        .with_timeout(TimeoutConfig::default())
        .with_retry(RetryConfig::default())
        .with_breaker(patient, Clock::manual());
    let users = KeySpace::new("shop", "", "users").unwrap();
    let key = users.key(&1_u8).unwrap();
    stack.put(&key, "Ada".into(), Put::default(), &OpContext::default()).await.unwrap();

    chaos.set(Mode::Hang);
    let callers: Vec<_> = (0..1_000_u64)
        .map(|number| {
            let (stack, key) = (Arc::clone(&stack), key.clone());
            // Every second caller brings a deadline of its own, of 1 to 500 ms.
            let timeout = (number % 2 == 0).then(|| ms(1 + number / 2));
            tokio::spawn(async move {
                let started = Instant::now();
                let answer = stack.get(&key, &OpContext { timeout }).await;
                (answer.map_err(|error| error.kind()), started.elapsed(), timeout)
            })
        })
        .collect();
    for caller in callers {
        let (answer, waited, timeout) = caller.await.unwrap();
        assert_eq!(answer, Err(ErrorKind::Timeout));
        // A caller with more time than the backend's limit may try once more in what is left.
        let deadline = timeout.unwrap_or(ms(250));
        assert!(waited >= deadline.min(ms(250)) && waited <= deadline, "{waited:?} {deadline:?}");
    }

    chaos.set(Mode::Healthy);
    let found = stack.get(&key, &OpContext::default()).await.unwrap();
    assert_eq!(found, Some("Ada".into()));
}
