//! What a run tells about itself when somebody wants to read it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines with their simulated time; nothing is written unless the story is wanted. Cloning
/// shares it.
#[derive(Clone, Debug)]
pub struct Story {
    lines: Option<Arc<Mutex<Vec<String>>>>,
    start: Instant,
}

impl Story {
    /// A story that starts now, and is written only where `is_wanted`.
    pub fn new(is_wanted: bool) -> Self {
        Self { lines: is_wanted.then(Arc::default), start: Instant::now() }
    }

    /// Adds a line; `line` is asked only where the story is wanted.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let at = self.start.elapsed().as_millis();
            lines.lock().push(format!("{at:>7} ms  {}", line()));
        }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.as_ref().map(|lines| lines.lock().clone()).unwrap_or_default()
    }
}
