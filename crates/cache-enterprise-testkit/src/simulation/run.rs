//! Plays a plan, and says what was wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Millis, secs};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::history::{
    Acknowledged, Action, History, Outcome, Place, Record, Seen, Stamp, Strength,
};
use super::judge::Judge;
use super::network::Weather;
use super::plan::{LEAST_RACES, Plan, Step, What, tag_of};
use super::remote::noting_tiers;
use super::request::{Answer, Form, LoadPlan, Loader, Request, Subject};
use super::story::Story;
use super::world::{MANAGER, NEAR_LIFE, World};
use crate::coherence::{Disturbance, Link};

/// How often time is told to processes.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// No call takes longer: the hard timeout of a load, and as much again.
const LONGEST_CALL: Duration = secs(60);

/// Longest of what runs beside an acknowledgement where nobody hears of it: a load, and its tiers.
const LONGEST_FLIGHT_MS: Millis = 1_500;

/// Silence of the bus is noticed when a process's ticker turns.
const TURN_MS: Millis = 30;

/// No schedule needs more of them than this beyond its plan.
const MOST_FURTHER_RACES: u64 = 40;

/// How long processes have to agree once everything works again.
const AGREED_AFTER: Duration = Duration::from_millis(2_500);

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls to processes, those at the end included that see whether they agree.
    pub operations: u64,
    /// Faults that began.
    pub faults: u64,
    /// Hard invalidations of keys that were being loaded.
    pub raced: u64,
    /// What was wrong, a line each.
    pub violations: Vec<String>,
    /// What happened, where it was wanted.
    pub story: Vec<String>,
}

/// Plays `plan` with processes of `subject`. Must run on a runtime of one thread whose time is
/// paused: simulated time is tokio's.
pub async fn play(plan: &Plan, subject: Arc<dyn Subject>, is_told: bool) -> Report {
    let story = Story::new(is_told);
    story.tell(|| format!("{:?}", plan.shape));
    let is_jump = |step: &Step| matches!(step.what, What::Fault(Fault::ClockJump { .. }));
    let has_steady_clocks =
        plan.shape.skews_ms.iter().all(|&skew| skew == 0) && !plan.steps.iter().any(is_jump);
    let run = Run { world: Arc::new(World::new(plan, subject, story)), has_steady_clocks };
    let mut violations = run.start().await;
    let heart = tokio::spawn(beat(Arc::clone(&run.world)));
    violations.extend(run.steps(&plan.steps).await);
    for number in 0..MOST_FURTHER_RACES {
        if run.world.recorder.raced() >= LEAST_RACES {
            break;
        }
        violations.extend(run.steps(&plan.further_race(number)).await);
    }
    if run.world.recorder.raced() < LEAST_RACES {
        violations.push(format!("fewer than {LEAST_RACES} hard invalidations met a load"));
    }
    let agreed_from = run.agree(&mut violations).await;
    heart.abort();
    let mut history = run.world.recorder.history();
    let judge = run.judge();
    let found = judge.judge(&history).into_iter();
    violations.extend(found.map(|found| found.tell(&history)));
    run.recover(&mut history);
    let late = judge.judge_from(&history, agreed_from).into_iter();
    violations.extend(late.map(|found| format!("after recovery: {}", found.tell(&history))));
    Report {
        operations: history.records.len() as u64,
        faults: plan.faults() as u64,
        raced: history.raced,
        violations,
        story: run.world.story.lines(),
    }
}

async fn beat(world: Arc<World>) {
    loop {
        sleep(TICK).await;
        world.tick(TICK);
    }
}

/// Waits for every call, and says which panicked or did not end.
async fn answers(calls: &mut JoinSet<Option<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    while let Some(ended) = calls.join_next().await {
        match ended {
            Ok(hung) => wrong.extend(hung),
            Err(error) => wrong.push(format!("a call panicked: {error}")),
        }
    }
    wrong
}

#[derive(Clone)]
struct Run {
    world: Arc<World>,
    has_steady_clocks: bool,
}

impl Run {
    async fn start(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for number in 0..self.world.shape.processes {
            if let Err(error) = self.world.start(number).await {
                wrong.push(format!("p{number} does not start: {error}"));
            }
        }
        wrong
    }

    /// Takes steps one after the other, and waits for what was called.
    async fn steps(&self, steps: &[Step]) -> Vec<String> {
        let mut calls = JoinSet::new();
        for step in steps {
            if step.after_ms > 0 {
                sleep(Duration::from_millis(step.after_ms)).await;
            }
            match &step.what {
                What::Call(number, request) => {
                    calls.spawn(self.clone().call(*number, request.clone()));
                }
                What::Change(key) => self.world.recorder.change(*key),
                What::Fault(fault) => self.fault(fault),
            }
        }
        answers(&mut calls).await
    }

    /// What other processes may hold near themselves.
    fn judge(&self) -> Judge {
        let shape = &self.world.shape;
        let near_ms = match (shape.has_shared_tier(), shape.has_bus) {
            (true, true) => Judge::default().near_ms + TURN_MS,
            // A copy may climb from tier to tier, each life as long as the next.
            (true, false) => {
                let lives = shape.tiers.len() as Millis + 1;
                lives * NEAR_LIFE.as_millis() as Millis + LONGEST_FLIGHT_MS
            }
            // Processes without anything in common promise each other nothing.
            (false, _) => Millis::MAX / 2,
        };
        Judge { near_ms, has_steady_clocks: self.has_steady_clocks }
    }

    /// Performs one call and records it; says so when it did not end.
    async fn call(self, number: usize, request: Request) -> Option<String> {
        let world = &self.world;
        while world.network.is_paused(number) {
            sleep(TICK).await;
        }
        world.follow(number);
        let (id, process) = world.process(number)?;
        let failures = world.network.failures(number);
        let numbering = world.network.numbering(number);
        let ongoing = world.recorder.begin(id, action(&request));
        world.story.tell(|| format!("{id} {request:?} {:?}", Generations(ongoing.stamps())));
        let loader = Loader::new(world.recorder.clone());
        let leaves = match &request {
            Request::Load(_, plan) => plan.leaves_after_ms.map(Duration::from_millis),
            _ => None,
        };
        let stamps = ongoing.stamps().to_vec();
        let work = noting_tiers(process.perform(&request, &stamps, &loader));
        let Ok((answer, given)) = timeout(leaves.unwrap_or(LONGEST_CALL), work).await else {
            let is_hung = leaves.is_none() && world.is_alive(id);
            return is_hung.then(|| format!("{id} did not answer {request:?}"));
        };
        // Who is stopped answers nobody: what was given meanwhile is heard of when it goes on.
        while world.network.is_paused(number) {
            sleep(TICK).await;
        }
        if !world.is_alive(id) {
            return None;
        }
        // A change that has no number of the store's has no place among those of others: only the
        // process that made it can keep to it.
        let is_numbered = !numbering.is_dark && numbering == world.network.numbering(number);
        let is_calm = is_numbered && failures == world.network.failures(number);
        let outcome = match answer {
            Answer::Values(values) => Outcome::Values(seen(values, &given, &loader)),
            Answer::Done(is_told) if is_told && is_calm => Outcome::Done(Acknowledged::Everywhere),
            Answer::Done(_) if is_numbered => Outcome::Done(Acknowledged::Later),
            Answer::Done(_) => Outcome::Done(Acknowledged::Here),
            Answer::Failed => return None,
        };
        world.story.tell(|| format!("{id} {request:?} gave {outcome:?}"));
        ongoing.end(outcome);
        None
    }

    /// Begins a fault; those that last end by themselves.
    fn fault(&self, fault: &Fault) {
        let world = &self.world;
        world.story.tell(|| format!("-- {fault:?}"));
        match fault.clone() {
            Fault::Tier { tier, weather, for_ms } => {
                world.set_tier(tier, weather);
                self.later(for_ms, move |world| world.set_tier(tier, Weather::default()));
            }
            Fault::Refusal { tier, of_1000, for_ms } => {
                world.refuse(tier, of_1000);
                self.later(for_ms, move |world| world.refuse(tier, 0));
            }
            Fault::Epochs { weather, for_ms } => {
                world.set_epochs(weather);
                self.later(for_ms, |world| world.set_epochs(Weather::default()));
            }
            Fault::Process { process, weather, for_ms } => {
                world.network.set_process(process, weather);
                self.later(for_ms, move |world| {
                    world.network.set_process(process, Weather::default());
                });
            }
            Fault::LostEpochs => world.lose_epochs(),
            Fault::SetBack => world.set_back_epochs(),
            Fault::Restart => world.restart_server(),
            Fault::ClockJump { process, by_ms } => world.jump(process, by_ms),
            Fault::Pause { process, for_ms } => {
                world.pause(process, true);
                self.later(for_ms, move |world| world.pause(process, false));
            }
            Fault::Kill { process, away_ms } => {
                world.kill(process);
                let run = self.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(away_ms)).await;
                    run.revive(process).await;
                });
            }
            Fault::Bus { disturbance, for_ms } => {
                world.bus().disturb(disturbance);
                self.later(for_ms, |world| world.bus().disturb(Disturbance::default()));
            }
            Fault::Ear { process, link, for_ms } => {
                world.set_ear(process, link);
                self.later(for_ms, move |world| world.set_ear(process, Link::Whole));
            }
            Fault::Trim { frames } => world.bus().trim(MANAGER, frames),
        }
    }

    fn later(&self, for_ms: Millis, end: impl FnOnce(&World) + Send + 'static) {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            sleep(Duration::from_millis(for_ms)).await;
            end(&world);
        });
    }

    /// Starts a process that is away, as often as it takes.
    async fn revive(&self, number: usize) {
        while self.world.process(number).is_none() {
            if let Err(error) = self.world.start(number).await {
                self.world.story.tell(|| format!("p{number} does not start: {error}"));
            }
            sleep(TICK).await;
        }
    }

    /// Ends every fault, waits, and has every process asked for everything; then once more after
    /// everything was removed. Gives the place in the history where those reads begin.
    async fn agree(&self, violations: &mut Vec<String>) -> usize {
        let world = &self.world;
        world.story.tell(|| "-- everything works again".to_owned());
        world.heal();
        for number in 0..world.shape.processes {
            self.revive(number).await;
        }
        sleep(AGREED_AFTER.max(Duration::from_millis(self.near_wait_ms()))).await;
        let from = world.recorder.operations();
        violations.extend(self.ask_everybody(false).await);
        let keys = Plan::keys();
        keys.iter().for_each(|&key| world.recorder.change(key));
        // A process that got no number asks the store again with its next removal.
        violations.extend(self.clone().call(0, Request::Remove(0)).await);
        let removed = world.recorder.operations();
        violations.extend(self.clone().call(0, Request::RemoveMany(keys)).await);
        let outcome = world.recorder.outcome(removed);
        if outcome != Some(Outcome::Done(Acknowledged::Everywhere)) {
            violations.push("a removal is not acknowledged though everything works".to_owned());
        }
        if self.near_wait_ms() < Millis::MAX / 4 {
            sleep(Duration::from_millis(self.near_wait_ms())).await;
        }
        violations.extend(self.ask_everybody(true).await);
        from
    }

    /// The bound on what processes hold near themselves, where there is one.
    fn near_wait_ms(&self) -> Millis {
        let near_ms = self.judge().near_ms;
        if near_ms < Millis::MAX / 4 { near_ms } else { 0 }
    }

    async fn ask_everybody(&self, loads: bool) -> Vec<String> {
        let mut calls = JoinSet::new();
        let plan =
            LoadPlan { takes_ms: 0, fails: false, form: Form::Borrowed, leaves_after_ms: None };
        for number in 0..self.world.shape.processes {
            for key in Plan::keys() {
                let request = match loads {
                    true => Request::Load(key, plan.clone()),
                    false => Request::Get(key),
                };
                calls.spawn(self.clone().call(number, request));
            }
        }
        answers(&mut calls).await
    }

    /// Makes of the history what is to be judged after recovery: what only its own process could
    /// rely on was told to the others since, if the process lives.
    fn recover(&self, history: &mut History) {
        let told = |record: &mut Record| {
            let is_alive = self.world.is_alive(record.process);
            if let Some((_, Outcome::Done(acknowledged))) = &mut record.end
                && *acknowledged == Acknowledged::Later
                && is_alive
            {
                *acknowledged = Acknowledged::Everywhere;
            }
        };
        history.records.iter_mut().for_each(told);
    }
}

fn action(request: &Request) -> Action {
    let hard = |keys| Action::Invalidate(keys, Strength::Hard);
    let tagged = |tag: u64| Plan::keys().into_iter().filter(move |&key| tag_of(key) == Some(tag));
    match request {
        Request::Get(key) | Request::Load(key, _) => Action::Read(vec![*key]),
        Request::GetMany(keys) | Request::LoadMany(keys, _) => Action::Read(keys.clone()),
        Request::Set(key) | Request::SetIfVersion(key) | Request::Compute(key) => {
            Action::Write(vec![*key])
        }
        Request::SetMany(keys) => Action::Write(keys.clone()),
        Request::Remove(key) => hard(vec![*key]),
        Request::RemoveMany(keys) => hard(keys.clone()),
        Request::Expire(key) => Action::Invalidate(vec![*key], Strength::Dated),
        Request::Invalidate(tag) => hard(tagged(*tag).collect()),
        Request::InvalidateSoftly(tag) => {
            Action::Invalidate(tagged(*tag).collect(), Strength::Soft)
        }
        Request::Clear | Request::ClearTenant | Request::ClearEverything => hard(Plan::keys()),
    }
}

fn seen(values: Vec<Option<(Stamp, bool)>>, given: &[Bytes], loader: &Loader) -> Vec<Option<Seen>> {
    let is_given = |stamp: Stamp| {
        let stamp = stamp.to_bytes();
        given.iter().any(|bytes| bytes.windows(stamp.len()).any(|part| part == stamp))
    };
    let one = |(stamp, is_stale)| {
        let is_asked = loader.made(stamp) || is_given(stamp);
        let place = if is_asked { Place::Asked } else { Place::Near };
        Seen { stamp, place, is_stale }
    };
    values.into_iter().map(|value| value.map(one)).collect()
}

/// The generations of a write's values, for the story.
struct Generations<'a>(&'a [Stamp]);

impl std::fmt::Debug for Generations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|stamp| stamp.generation)).finish()
    }
}
