//! Waiting for background work without a blind sleep.
//!
//! A test that sleeps is slow when the machine is quick and wrong when the machine is slow. These
//! functions ask again and again, give way in between, and end with a panic that says what did
//! not happen.

use std::time::{Duration, Instant};

/// How long [`until`] and [`until_async`] wait: longer than a busy machine lets anything wait that
/// happens at all. Only what does not happen takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds in which the waiter only gives way, before it starts to rest between two questions.
const EAGER_ROUNDS: u32 = 64;
const REST: Duration = Duration::from_millis(1);

/// Blocks the thread until `condition` holds.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::Arc;
///
/// let done = Arc::new(AtomicBool::new(false));
/// let worker = Arc::clone(&done);
/// std::thread::spawn(move || worker.store(true, Ordering::Release));
/// cache_enterprise_testkit::wait::until("the worker is done", || done.load(Ordering::Acquire));
/// ```
///
/// # Panics
/// When the condition does not hold within [`PATIENCE`]; the text names `what`.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "waited {PATIENCE:?} in vain until {what}");
}

/// Blocks the thread until `condition` holds, and says whether it did so within `patience`; for a
/// waiter who has more to say than [`until`] when it does not.
///
/// ```
/// use std::time::Duration;
///
/// let mut asked = 0;
/// let holds = cache_enterprise_testkit::wait::holds_within(Duration::from_secs(10), || {
///     asked += 1;
///     asked == 3
/// });
/// assert!(holds);
/// ```
pub fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut round = 0;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        if round < EAGER_ROUNDS {
            std::thread::yield_now();
        } else {
            std::thread::park_timeout(REST);
        }
        round += 1;
    }
    true
}

/// Waits in a task until `condition` holds; other tasks of the runtime go on.
///
/// Needs a tokio runtime with time enabled. The deadline is real time, also under a paused clock.
///
/// # Panics
/// When the condition does not hold within [`PATIENCE`]; the text names `what`.
pub async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut round = 0;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        if round < EAGER_ROUNDS {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(REST).await;
        }
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_thread_waits_for_another() {
        let count = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&count);
        let worker = std::thread::spawn(move || {
            for _ in 0..1_000 {
                other.fetch_add(1, Ordering::Release);
            }
        });
        until("the other thread has counted", || count.load(Ordering::Acquire) == 1_000);
        worker.join().expect("the worker only counts");
    }

    #[tokio::test]
    async fn a_task_waits_for_another_on_the_same_thread() {
        let count = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&count);
        tokio::spawn(async move {
            for _ in 0..100 {
                other.fetch_add(1, Ordering::Release);
                tokio::task::yield_now().await;
            }
        });
        until_async("the other task has counted", async || count.load(Ordering::Acquire) == 100)
            .await;
    }
}
