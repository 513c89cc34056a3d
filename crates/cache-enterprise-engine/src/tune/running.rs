//! The trials of one cache, one after the other.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    Capacity, Clock, Error, ErrorKind, Event, Millis, Observer, Result, saturating_millis,
};
use cache_enterprise_strategies::tune::{Change, Outcome, Step, Tally, Tuner};

use super::ear::{Ear, Sample, Tallies};
use super::plan::{CAPACITY, STRATEGY, TTL, Tune};
use super::shadow::{Lives, Shadow, Shape};
use super::subject::Subject;
use crate::shared::Shared;
use crate::strategy::Policies;

/// Trials that are remembered.
const LOG_MAX: usize = 256;

/// A tuner of one cache, which runs until this is dropped. A change that is being tried is then
/// taken back; what was kept stays.
///
/// [`Cache::tune`](crate::Cache::tune) has an example.
#[must_use = "the tuner stops when this is dropped"]
pub struct Tuning {
    running: Arc<Running>,
}

/// A trial that ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trial {
    /// Counts from 1.
    pub number: u64,
    /// When it ended: wall time in milliseconds since the Unix epoch.
    pub at_wall_ms: i64,
    /// What was changed, such as `strategy: lru -> lirs`.
    pub change: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What the hit ratio gained on the shadow, as a fraction.
    pub shadow_gain: f64,
    /// What it gained on the cache, less what the workload did; nothing where it did not come to
    /// that.
    pub live_gain: Option<f64>,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, change, outcome, shadow_gain, live_gain, .. } = self;
        let points = |gain: f64| gain * 100.0;
        write!(f, "{number}. {change}: {}, {:+.1}", word(*outcome), points(*shadow_gain))?;
        f.write_str(" points on the shadow")?;
        match live_gain {
            Some(gain) => write!(f, ", {:+.1} on the cache", points(*gain)),
            None => Ok(()),
        }
    }
}

impl Tuning {
    pub(super) fn start(
        shared: &Arc<Shared>,
        subject: Box<dyn Subject>,
        how: Tune,
    ) -> Result<Self> {
        let choices = how.choices(&*subject)?;
        let tuner = how.tuner(&*subject, choices.len())?;
        if !subject.watch().claim() {
            let text = "the cache is being tuned already; drop the other handle first";
            return Err(Error::new(ErrorKind::Conflict, text).with("cache", subject.name()));
        }
        let trials = Trials { tuner, phase: Phase::Resting { until: 0 }, log: VecDeque::new() };
        let running = Arc::new(Running {
            subject,
            choices,
            how,
            clock: shared.clock.clone(),
            observer: Arc::clone(&shared.observer),
            trials: Mutex::new(trials),
        });
        shared.tuners.lock().push(Arc::downgrade(&running));
        Ok(Self { running })
    }

    /// The name of the cache.
    pub fn cache(&self) -> &str {
        self.running.subject.name()
    }

    /// What is being tried now, such as `strategy: lru -> lirs, on a shadow`.
    pub fn trying(&self) -> Option<String> {
        let trials = self.running.trials.lock();
        match &trials.phase {
            Phase::Resting { .. } => None,
            Phase::Shadow(change) => Some(format!("{}, on a shadow", self.running.text(change))),
            Phase::Live(change, _) => Some(format!("{}, on the cache", self.running.text(change))),
        }
    }

    /// The last 256 trials, the oldest first.
    pub fn log(&self) -> Vec<Trial> {
        self.running.trials.lock().log.iter().cloned().collect()
    }

    /// Takes the newest kept change back, and tells it. It is not tried again before everything
    /// [rested](Tune::every) once.
    ///
    /// # Errors
    /// While a change is tried on the cache, and when no kept change is left to take back.
    pub fn undo(&self) -> Result<String> {
        self.running.undo()
    }
}

impl Drop for Tuning {
    fn drop(&mut self) {
        self.running.stop();
    }
}

impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cache, trying) = (self.cache(), self.trying());
        f.debug_struct("Tuning").field("cache", &cache).field("trying", &trying).finish()
    }
}

pub(crate) struct Running {
    subject: Box<dyn Subject>,
    /// What the knob of strategies chooses between.
    choices: Vec<Policies>,
    how: Tune,
    clock: Clock,
    observer: Arc<dyn Observer>,
    trials: Mutex<Trials>,
}

struct Trials {
    tuner: Tuner,
    phase: Phase,
    log: VecDeque<Trial>,
}

enum Phase {
    /// Nothing is tried until then.
    Resting { until: Millis },
    /// Two shadows are compared.
    Shadow(Change),
    /// The change was made; before it the cache had this.
    Live(Change, Tally),
}

impl Shared {
    /// Lets the tuners look at what was counted.
    pub(crate) fn turn_tuners(&self, now: Millis) {
        let running: Vec<_> = {
            let mut tuners = self.tuners.lock();
            tuners.retain(|tuner| tuner.strong_count() > 0);
            tuners.iter().filter_map(Weak::upgrade).collect()
        };
        running.iter().for_each(|running| running.turn(now));
    }
}

impl Running {
    /// Goes on with the trial there is, where enough was counted, or begins another.
    fn turn(&self, now: Millis) {
        let Some(mut trials) = self.trials.try_lock() else { return };
        let Trials { tuner, phase, .. } = &mut *trials;
        let step = match phase {
            Phase::Resting { until } if now < *until => return,
            Phase::Resting { until } => {
                match tuner.propose() {
                    Some(change) => {
                        self.begin(&change, now);
                        *phase = Phase::Shadow(change);
                    }
                    None => {
                        tuner.wake();
                        *until = now.saturating_add(saturating_millis(self.how.every));
                    }
                }
                return;
            }
            Phase::Shadow(_) => {
                let Some(Tallies { plain, changed, .. }) = self.counted(now) else { return };
                tuner.shadow(plain, changed)
            }
            Phase::Live(_, before) => {
                let Some(Tallies { live, plain, changed }) = self.counted(now) else { return };
                tuner.live(*before, live, plain, changed)
            }
        };
        match step {
            Step::Wait => {}
            Step::Apply(change) => {
                let before = self.subject.watch().with_ear(|ear| {
                    let before = ear.tallies().live;
                    ear.restart(self.how.rules.min_data_points);
                    before
                });
                self.make(&change);
                *phase = Phase::Live(change, before.unwrap_or_default());
            }
            Step::Revert(back) => {
                self.make(&back);
                self.end(&mut trials, now);
            }
            Step::Done => self.end(&mut trials, now),
        }
    }

    /// What was counted, once it is enough to judge by.
    fn counted(&self, now: Millis) -> Option<Tallies> {
        let live = self.subject.stats().capacity;
        let least = self.how.rules.min_data_points;
        // Where the capacity itself is tried the shadows keep what they were made with.
        let follows = self.how.capacity.is_none().then(|| self.sampled(live));
        let tallies = self.subject.watch().with_ear(|ear| {
            ear.plain.turn(follows, now);
            ear.changed.turn(follows, now);
            ear.tallies()
        })?;
        (tallies.live.requests() >= least).then_some(tallies)
    }

    /// Makes the shadows, listens, and fills them with what the cache holds of the sampled keys:
    /// in this order, so that what comes in meanwhile is marked too.
    fn begin(&self, change: &Change, now: Millis) {
        let sample = Sample::new(self.how.sample, self.how.seed);
        let entries = self.sampled(self.subject.stats().entries) as usize;
        let shadows = [false, true].map(|is_changed| self.shape(entries, change, is_changed));
        let [plain, changed] = shadows.map(Shadow::new);
        let watch = self.subject.watch();
        watch.listen(sample, Ear::new(plain, changed, self.how.rules.min_data_points));
        let held = self.subject.mark(&sample);
        watch.with_ear(|ear| {
            held.into_iter().for_each(|(hash, facts)| ear.filled(hash, facts, false, now));
        });
    }

    /// A shadow of the cache: as it is, or with the change.
    fn shape(&self, entries: usize, change: &Change, is_changed: bool) -> Shape {
        let of = |knob: &str| Some(change).filter(|change| *change.knob == *knob);
        let to = |knob| of(knob).filter(|_| is_changed).map(|change| change.to);
        let capacity = to(CAPACITY).map_or(self.subject.stats().capacity, |to| to as u64);
        let capacity = self.sampled(capacity);
        let policies = to(STRATEGY).and_then(|to| self.choices.get(to as usize).cloned());
        Shape {
            policies: policies.or_else(|| self.subject.policies()),
            capacity: match self.subject.counts_entries() {
                true => Capacity::entries(capacity),
                false => Capacity::bytes(capacity),
            },
            entries,
            lives: of(TTL).map(|change| self.lives(change, is_changed)).unwrap_or_default(),
        }
    }

    /// The lives in a shadow while another life is tried. The cache makes entries of both, with
    /// jitter; a shadow gives them its own, and both shadows alike no jitter.
    fn lives(&self, change: &Change, is_changed: bool) -> Lives {
        let millis = |seconds: f64| (seconds * 1_000.0) as Millis;
        let jitter = f64::from(self.subject.options().jitter_or_default());
        let jittered = |life: Millis| life..=life + (life as f64 * jitter) as Millis + 1;
        let (from, to) = (millis(change.from), millis(change.to));
        let given = if is_changed { to } else { from };
        Lives { own: [from, to].map(jittered).into(), given: Some(given) }
    }

    fn sampled(&self, capacity: u64) -> u64 {
        ((capacity as f64 * self.how.sample) as u64).max(1)
    }

    /// Makes a change to the cache.
    fn make(&self, change: &Change) {
        match &*change.knob {
            TTL => self.subject.watch().set_life((change.to * 1_000.0) as Millis),
            CAPACITY => self.subject.resize(change.to as u64),
            _ => {
                if let Some(policies) = self.choices.get(change.to as usize) {
                    // Only a store that can exchange its policies has choices.
                    let _ = self.subject.exchange(policies);
                }
            }
        }
    }

    /// Stops listening after a trial, and tells how it ended.
    fn end(&self, trials: &mut Trials, now: Millis) {
        self.deafen();
        trials.phase = Phase::Resting { until: now };
        self.note(trials);
    }

    fn deafen(&self) {
        self.subject.watch().deafen();
        self.subject.unmark();
    }

    /// Writes the last record of the tuner down, and tells it.
    fn note(&self, trials: &mut Trials) {
        let Some(record) = trials.tuner.log().next_back() else { return };
        let trial = Trial {
            number: record.number,
            at_wall_ms: self.clock.wall_ms(),
            change: self.text(&record.change),
            outcome: record.outcome,
            shadow_gain: record.shadow_gain,
            live_gain: record.live_gain,
        };
        let cache = self.subject.name().to_owned();
        #[cfg(feature = "tiers")]
        tracing::info!(cache, trial = %trial, "a trial of the tuner ended");
        let (change, outcome) = (trial.change.clone(), word(trial.outcome));
        if trials.log.len() == LOG_MAX {
            trials.log.pop_front();
        }
        trials.log.push_back(trial);
        self.observer.on_event(&Event::Tuned { cache, change, outcome });
    }

    fn undo(&self) -> Result<String> {
        let mut trials = self.trials.lock();
        if let Phase::Shadow(_) = &trials.phase {
            // Nothing was changed for it yet: it begins anew afterwards.
            trials.tuner.give_up();
            self.deafen();
            trials.phase = Phase::Resting { until: self.clock.now() };
        }
        let back = trials.tuner.undo()?;
        self.make(&back);
        self.note(&mut trials);
        Ok(self.text(&back))
    }

    fn stop(&self) {
        let mut trials = self.trials.lock();
        if let Some(back) = trials.tuner.give_up() {
            self.make(&back);
        }
        if !matches!(trials.phase, Phase::Resting { .. }) {
            self.deafen();
        }
        // Whoever upgraded it meanwhile finds nothing to do.
        trials.phase = Phase::Resting { until: Millis::MAX };
        self.subject.watch().release();
    }

    /// A change in words.
    fn text(&self, change: &Change) -> String {
        let Change { knob, from, to, .. } = change;
        let name = |at: &f64| self.choices.get(*at as usize).map_or("none", |choice| choice.name());
        match &**knob {
            STRATEGY => format!("{knob}: {} -> {}", name(from), name(to)),
            TTL => format!("{knob}: {from:.1} s -> {to:.1} s"),
            _ => format!("{knob}: {from} -> {to}"),
        }
    }
}

/// An outcome as listeners hear it.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Kept => "kept",
        Outcome::Dropped => "dropped",
        Outcome::Reverted => "reverted",
        Outcome::Undone => "undone",
        _ => "ended",
    }
}
