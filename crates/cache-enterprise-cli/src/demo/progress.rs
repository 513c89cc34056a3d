//! Live progress on stderr: a line that is redrawn, or plain lines when nobody watches.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::levels::Levels;
use super::load::Gauge;
use super::world::World;

/// Shows a [`Gauge`] from time to time.
pub(crate) struct Progress {
    /// `None` where stderr is no terminal.
    bar: Option<ProgressBar>,
    begun: Instant,
    total: Option<u64>,
    levels: Arc<Levels>,
}

impl Progress {
    pub(crate) fn new(world: &World) -> Self {
        let (total, levels) = (world.plan.total(), Arc::clone(&world.levels));
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}");
            bar.set_style(style.expect("the template names known fields only"));
            bar
        });
        Self { bar, begun: Instant::now(), total, levels }
    }

    /// How long to wait between two looks.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(if self.bar.is_some() { 100 } else { 2_000 })
    }

    pub(crate) fn show(&self, gauge: &Gauge) {
        let reads = gauge.answered();
        let per_second = reads as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let phase = match gauge.away() {
            Some(level) => format!(", {} is out of order", self.levels.name(level)),
            None => String::new(),
        };
        let reads = match self.total {
            None => format!("{reads} reads"),
            Some(total) if reads <= total => format!("{reads} of {total} reads"),
            Some(total) => format!("{total} reads and {} of the file again", reads - total),
        };
        let text = format!("{reads}, {per_second:.0} a second{phase}");
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            // Progress is a courtesy: when stderr is closed the demo goes on.
            None => {
                let elapsed = self.begun.elapsed().as_secs_f64();
                let _ = writeln!(std::io::stderr(), "[{elapsed:5.1} s] {text}");
            }
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
