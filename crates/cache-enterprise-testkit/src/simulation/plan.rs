//! What a seed decides: processes, tiers, operations, and what goes wrong when.

use cache_enterprise_core::Millis;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::fault::Fault;
use super::network::Weather;
use super::request::{Form, LoadPlan, Request};
use crate::Seed;
use crate::coherence::{Disturbance, Link};

/// Keys that are asked for again and again.
const COMMON_KEYS: u64 = 10;

/// Keys that are first asked for while they are invalidated: one a race.
const RACES: u64 = 8;

/// Hard invalidations that meet a load, in every schedule.
pub(super) const LEAST_RACES: u64 = 5;

/// Operations of a plan beside those of its races.
const OPERATIONS: usize = 170;

/// Reads after each race, which see what came of it.
const READS_AFTER_A_RACE: usize = 3;

/// Tags of tagged keys.
const TAGS: u64 = 3;

/// One schedule.
///
/// ```
/// use cache_enterprise_testkit::simulation::Plan;
///
/// let plan = Plan::draw(7);
/// assert_eq!(plan, Plan::draw(7));
/// assert!(plan.operations() >= 200 && plan.faults() >= 3);
/// assert!((2..=5).contains(&plan.shape.processes));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The seed it was drawn from.
    pub seed: u64,
    /// Who is there.
    pub shape: Shape,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Processes and tiers of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// How many processes.
    pub processes: usize,
    /// The tiers below level 1, from the top.
    pub tiers: Vec<TierShape>,
    /// Whether processes hear each other.
    pub has_bus: bool,
    /// Whether they push values along with what they tell.
    pub pushes: bool,
    /// How far each process's wall clock is off, in milliseconds.
    pub skews_ms: Vec<i64>,
}

/// One tier of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierShape {
    /// A tier of each process's own, which outlives the process.
    Private {
        /// Whether it refuses older values by itself.
        is_fenced: bool,
        /// Whether writes are queued.
        is_behind: bool,
    },
    /// A tier that all processes see. The deepest of them keeps sequence and epochs.
    Shared,
}

impl Shape {
    /// Whether processes see anything of each other.
    pub fn has_shared_tier(&self) -> bool {
        self.tiers.contains(&TierShape::Shared)
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Milliseconds after the step before it.
    pub after_ms: Millis,
    /// What happens.
    pub what: What,
}

/// What happens in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A process is asked for something; nobody waits for the answer.
    Call(usize, Request),
    /// The truth of a key changes, and nobody is told.
    Change(u64),
    /// Something goes wrong.
    Fault(Fault),
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        Self::draw_for(seed, None)
    }

    /// The plan of a seed for so many processes, where the seed shall not say how many.
    pub fn draw_for(seed: u64, processes: Option<usize>) -> Self {
        let mut plan = Self::draw_plain_for(seed, processes);
        plan.vary();
        plan
    }

    /// As [`draw`](Self::draw), without calls that read and write in one step or load several keys.
    /// Every other plan is the same.
    pub fn draw_plain(seed: u64) -> Self {
        Self::draw_plain_for(seed, None)
    }

    fn draw_plain_for(seed: u64, processes: Option<usize>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut shape = shape(&mut rng, processes);
        // Drawn apart, so that a seed keeps the rest of its plan.
        shape.pushes = shape.has_bus && Seed(seed).part("push").rng().random_bool(0.5);
        let mut draw = Draw { rng, shape: &shape, steps: Vec::new() };
        draw.fill();
        let steps = draw.steps;
        Self { seed, shape, steps }
    }

    /// Lets calls of one plan in two be of a kind that does more in one step. Drawn apart, so that
    /// a seed keeps the rest of its plan.
    fn vary(&mut self) {
        let mut rng = Seed(self.seed).part("kinds").rng();
        if rng.random_bool(0.5) {
            return;
        }
        for step in &mut self.steps {
            let What::Call(_, request) = &mut step.what else { continue };
            *request = match request {
                // They name no tags.
                Request::Set(key) if tag_of(*key).is_none() => match rng.random_range(0..3) {
                    0 => Request::SetIfVersion(*key),
                    1 => Request::Compute(*key),
                    _ => continue,
                },
                Request::GetMany(keys) if rng.random_bool(0.5) => {
                    let takes_ms = rng.random_range(0..60);
                    let (fails, form) = (rng.random_bool(0.05), Form::Borrowed);
                    let load = LoadPlan { takes_ms, fails, form, leaves_after_ms: None };
                    Request::LoadMany(std::mem::take(keys), load)
                }
                Request::ClearTenant if rng.random_bool(0.5) => Request::ClearEverything,
                _ => continue,
            };
        }
    }

    /// Steps that let a hard invalidation meet a load, for a schedule in which too few did. Drawn
    /// apart, so that a seed keeps its plan.
    pub(super) fn further_race(&self, number: u64) -> Vec<Step> {
        let rng = Seed(self.seed).part(&format!("race {number}")).rng();
        let mut draw = Draw { rng, shape: &self.shape, steps: Vec::new() };
        let (process, key) = (draw.process(), COMMON_KEYS + number % RACES);
        draw.step(0, What::Call(process, Request::Remove(key)));
        draw.race(key, true);
        draw.steps
    }

    /// Calls to a process in it.
    pub fn operations(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Call(..))).count()
    }

    /// Faults in it.
    pub fn faults(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Fault(_))).count()
    }

    /// Every key that it may name.
    pub fn keys() -> Vec<u64> {
        (0..COMMON_KEYS + RACES).collect()
    }
}

/// The tag of a key's values: every other key has one.
///
/// ```
/// use cache_enterprise_testkit::simulation::tag_of;
///
/// assert_eq!((tag_of(2), tag_of(3)), (Some(1), None));
/// ```
pub fn tag_of(key: u64) -> Option<u64> {
    key.is_multiple_of(2).then_some(key / 2 % TAGS)
}

fn shape(rng: &mut StdRng, processes: Option<usize>) -> Shape {
    let drawn = rng.random_range(2..=5);
    let processes = processes.unwrap_or(drawn);
    let private = |rng: &mut StdRng| TierShape::Private {
        is_fenced: rng.random_bool(0.5),
        is_behind: rng.random_bool(0.25),
    };
    let count = rng.random_range(1..=4);
    let is_shared = rng.random_bool(0.95);
    let private_count = match is_shared {
        true => rng.random_range(0..count),
        false => count,
    };
    let mut tiers: Vec<_> = (0..private_count).map(|_| private(rng)).collect();
    tiers.extend((private_count..count).map(|_| TierShape::Shared));
    let has_bus = is_shared && rng.random_bool(0.8);
    let skews_ms = (0..processes).map(|_| skew(rng)).collect();
    Shape { processes, tiers, has_bus, pushes: false, skews_ms }
}

/// Up to ten minutes either way; some clocks are right.
fn skew(rng: &mut StdRng) -> i64 {
    if rng.random_bool(0.3) { 0 } else { rng.random_range(-600_000..=600_000) }
}

struct Draw<'a> {
    rng: StdRng,
    shape: &'a Shape,
    steps: Vec<Step>,
}

impl Draw<'_> {
    fn fill(&mut self) {
        let faults = self.rng.random_range(3..=7);
        // What happens in which order: numbers below the operations are operations.
        let mut order: Vec<usize> = (0..OPERATIONS).collect();
        for extra in 0..RACES as usize + faults {
            let at = self.rng.random_range(0..=order.len());
            order.insert(at, OPERATIONS + extra);
        }
        for number in order {
            match number {
                number if number < OPERATIONS => self.operation(),
                number if number < OPERATIONS + RACES as usize => {
                    self.race(COMMON_KEYS + (number - OPERATIONS) as u64, false);
                }
                _ => self.fault(),
            }
        }
    }

    fn step(&mut self, after_ms: Millis, what: What) {
        self.steps.push(Step { after_ms, what });
    }

    /// Mostly soon after the last, now and then after a while.
    fn pause(&mut self) -> Millis {
        match self.rng.random_range(0..20) {
            0 => self.rng.random_range(50..250),
            1..8 => 0,
            _ => self.rng.random_range(1..20),
        }
    }

    fn process(&mut self) -> usize {
        self.rng.random_range(0..self.shape.processes)
    }

    fn key(&mut self) -> u64 {
        self.rng.random_range(0..COMMON_KEYS)
    }

    fn keys(&mut self) -> Vec<u64> {
        let count = self.rng.random_range(2..6);
        let mut keys: Vec<u64> = (0..count).map(|_| self.key()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn load(&mut self) -> LoadPlan {
        let takes_ms = match self.rng.random_range(0..4) {
            0 => 0,
            1 => self.rng.random_range(20..120),
            _ => self.rng.random_range(1..15),
        };
        LoadPlan {
            takes_ms,
            fails: self.rng.random_bool(0.05),
            form: *[Form::Shared, Form::Borrowed, Form::Detached]
                .choose(&mut self.rng)
                .expect("there are three"),
            leaves_after_ms: self.rng.random_bool(0.05).then(|| self.rng.random_range(0..40)),
        }
    }

    fn operation(&mut self) {
        let (after, process) = (self.pause(), self.process());
        let request = match self.rng.random_range(0..100) {
            0..32 => Request::Get(self.key()),
            32..60 => Request::Load(self.key(), self.load()),
            60..66 => Request::GetMany(self.keys()),
            66..73 => Request::Set(self.key()),
            // A batch names no tags.
            73..76 => {
                let mut keys = self.keys();
                keys.retain(|&key| tag_of(key).is_none());
                Request::SetMany(keys)
            }
            76..84 => Request::Remove(self.key()),
            84..86 => Request::RemoveMany(self.keys()),
            86..88 => Request::Expire(self.key()),
            88..92 => Request::Invalidate(self.rng.random_range(0..TAGS)),
            92..93 => Request::InvalidateSoftly(self.rng.random_range(0..TAGS)),
            93..94 => Request::Clear,
            94..95 => Request::ClearTenant,
            _ => {
                let key = self.key();
                return self.step(after, What::Change(key));
            }
        };
        self.step(after, What::Call(process, request));
    }

    /// A load of a key that nobody holds, and an invalidation while it runs, or a set where it
    /// need not be a hard one.
    fn race(&mut self, key: u64, is_hard: bool) {
        let (after, loader, other) = (self.pause(), self.process(), self.process());
        let takes_ms = self.rng.random_range(40..200);
        let form = if self.rng.random_bool(0.5) { Form::Borrowed } else { Form::Detached };
        let load = LoadPlan { takes_ms, fails: false, form, leaves_after_ms: None };
        self.step(after, What::Call(loader, Request::Load(key, load)));
        // The tiers are asked before the loader is.
        let meets_ms = self.rng.random_range(15..takes_ms);
        let who = if self.rng.random_bool(0.5) { loader } else { other };
        let request = match (self.rng.random_range(0..4), tag_of(key)) {
            (0, _) if !is_hard => Request::Set(key),
            (1 | 2, Some(tag)) => Request::Invalidate(tag),
            _ => Request::Remove(key),
        };
        self.step(meets_ms, What::Call(who, request));
        for _ in 0..READS_AFTER_A_RACE {
            let (after, reader) = (self.rng.random_range(0..takes_ms), self.process());
            self.step(after, What::Call(reader, Request::Get(key)));
        }
    }

    fn fault(&mut self) {
        let after = self.pause();
        let fault = self.draw_fault();
        self.step(after, What::Fault(fault));
    }

    fn draw_fault(&mut self) -> Fault {
        let (process, for_ms) = (self.process(), self.rng.random_range(50..2_500));
        let tier = self.rng.random_range(0..self.shape.tiers.len());
        let weather = self.weather();
        match self.rng.random_range(0..if self.shape.has_bus { 18 } else { 12 }) {
            0..3 => Fault::Tier { tier, weather, for_ms },
            3 => Fault::Refusal { tier, of_1000: self.rng.random_range(100..900), for_ms },
            4..6 => Fault::Epochs { weather, for_ms },
            6..8 => Fault::Process { process, weather, for_ms },
            8 => match self.rng.random_bool(0.5) {
                true => Fault::LostEpochs,
                false => Fault::SetBack,
            },
            9 => Fault::Restart,
            10 => {
                Fault::ClockJump { process, by_ms: self.rng.random_range(-86_400_000..86_400_000) }
            }
            11 => match self.rng.random_bool(0.5) {
                // Where nobody hears, what was read before the pause is kept for a life after it.
                true => {
                    let most = if self.shape.has_bus { 30_000 } else { 1_000 };
                    Fault::Pause { process, for_ms: self.rng.random_range(100..most) }
                }
                false => Fault::Kill { process, away_ms: for_ms / 4 },
            },
            12..15 => Fault::Bus { disturbance: self.disturbance(), for_ms },
            15..17 => Fault::Ear {
                process,
                link: *[Link::Deaf, Link::Mute, Link::Cut, Link::Hung]
                    .choose(&mut self.rng)
                    .expect("there are four"),
                for_ms,
            },
            _ => Fault::Trim { frames: self.rng.random_range(0..3) },
        }
    }

    fn weather(&mut self) -> Weather {
        let calm = Weather::default();
        match self.rng.random_range(0..4) {
            0 => Weather { is_down: true, ..calm },
            1 => Weather { requests_lost: 0.3, ..calm },
            2 => Weather { replies_lost: 0.3, ..calm },
            _ => Weather { delay_ms: self.rng.random_range(10..150), ..calm },
        }
    }

    fn disturbance(&mut self) -> Disturbance {
        Disturbance {
            lost: self.rng.random_range(0.0..1.0),
            doubled: self.rng.random_range(0.0..0.5),
            delay_max: std::time::Duration::from_millis(self.rng.random_range(0..200)),
            unanswered: if self.rng.random_bool(0.3) { 0.3 } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plans_differ_from_plain_ones_in_kinds_of_calls_alone() {
        let mut kinds = BTreeSet::new();
        for seed in 0..50 {
            let (plan, plain) = (Plan::draw(seed), Plan::draw_plain(seed));
            assert_eq!((&plan.shape, plan.steps.len()), (&plain.shape, plain.steps.len()));
            for (step, was) in plan.steps.iter().zip(&plain.steps) {
                assert_eq!(step.after_ms, was.after_ms);
                let kind = match (&step.what, &was.what) {
                    (What::Call(by, request), What::Call(was_by, _)) if by == was_by => request,
                    (what, was) => {
                        assert_eq!(what, was);
                        continue;
                    }
                };
                let told = format!("{kind:?}");
                kinds.insert(told.split('(').next().unwrap_or_default().to_owned());
            }
        }
        assert_eq!(kinds.len(), 16, "{kinds:?}");
    }
}
