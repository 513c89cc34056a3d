//! One thread per process that keeps the time of every manager.
//!
//! It copies precise time into the coarse clocks each millisecond and lets managers do their
//! small periodic work: expiry, overdue loads, deadlines. It starts with the first manager and
//! ends with the last. Nothing that runs on it may block. What panics on it (the drop of a value,
//! a waker, an observer) ends the turn of its own manager and no more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Who is called each millisecond.
pub(crate) trait Tick: Send + Sync {
    fn tick(&self);
}

const PERIOD: Duration = Duration::from_millis(1);

struct Running {
    members: Vec<Weak<dyn Tick>>,
    has_thread: bool,
}

static TICKER: Mutex<Running> = Mutex::new(Running { members: Vec::new(), has_thread: false });

/// Calls `member` each millisecond for as long as somebody else holds it.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn register(member: Weak<dyn Tick>) -> std::io::Result<()> {
    let mut running = TICKER.lock().unwrap_or_else(PoisonError::into_inner);
    running.members.push(member);
    if !running.has_thread {
        std::thread::Builder::new().name("cache-ticker".to_owned()).spawn(run)?;
        running.has_thread = true;
    }
    Ok(())
}

fn run() {
    let mut members: Vec<Arc<dyn Tick>> = Vec::new();
    loop {
        {
            let mut running = TICKER.lock().unwrap_or_else(PoisonError::into_inner);
            running.members.retain(|member| member.strong_count() > 0);
            if running.members.is_empty() {
                running.has_thread = false;
                return;
            }
            members.extend(running.members.iter().filter_map(Weak::upgrade));
        }
        for member in members.drain(..) {
            // The panic hook has told of it.
            let _ = catch_unwind(AssertUnwindSafe(move || member.tick()));
        }
        std::thread::sleep(PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_testkit::wait;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Counted {
        turns: AtomicU64,
        panics: bool,
    }

    impl Tick for Counted {
        fn tick(&self) {
            self.turns.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics, "a value's own");
        }
    }

    #[test]
    fn a_manager_that_panics_holds_up_no_other_and_goes_on_itself() {
        let members = [true, false].map(|panics| {
            let member = Arc::new(Counted { turns: AtomicU64::new(0), panics });
            let weak = Arc::downgrade(&member);
            register(weak).expect("a thread can be had");
            member
        });
        wait::until("both have had their turns", || {
            members.iter().all(|member| member.turns.load(Ordering::Relaxed) >= 3)
        });
    }
}
