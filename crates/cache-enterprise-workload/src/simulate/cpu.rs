//! Time that the processor gave to this thread.

use std::time::Duration;

/// Measures the processor time of the current thread: waiting and other processes do not count.
///
/// Where the system has no such clock (all but Unix) it measures the time that went by.
///
/// ```
/// use cache_enterprise_workload::simulate::CpuTimer;
///
/// let timer = CpuTimer::start();
/// let sum: u64 = (0..1_000).sum();
/// assert!(sum > 0 && timer.elapsed().as_secs() < 60);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CpuTimer {
    #[cfg(unix)]
    start: Duration,
    #[cfg(not(unix))]
    start: std::time::Instant,
}

impl CpuTimer {
    /// Starts at what the thread has used so far. Not to be moved to another thread.
    pub fn start() -> Self {
        #[cfg(unix)]
        let start = thread_time();
        #[cfg(not(unix))]
        let start = std::time::Instant::now();
        Self { start }
    }

    /// What this thread has used since the start.
    pub fn elapsed(&self) -> Duration {
        #[cfg(unix)]
        return thread_time().saturating_sub(self.start);
        #[cfg(not(unix))]
        return self.start.elapsed();
    }
}

#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}
