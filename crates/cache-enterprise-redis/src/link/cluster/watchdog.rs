//! When to stop believing a connection, whom to ask, and what to do with the answers.
//!
//! The client of Redis keeps a connection to a master that hangs: its socket is open and nothing
//! answers, while a replica was promoted long ago. The rule here is: two calls in a row that were
//! not answered make a master *suspect*; other nodes are then asked over connections of their own
//! who serves which slots; when more than half of those asked name another master, or the suspect
//! itself answers such a connection, a link is built aside; and only when that stands do requests
//! go over it. Never the other way round: a swap before the new link stands takes calls from
//! healthy shards with it.
//!
//! This is the rule alone: no socket, no task, no clock. Who drives it tells what happened and
//! when, and does what it is told ([`Step`]); see `rounds.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::SlotTable;
use super::view::View;
use crate::address::Endpoint;

/// Names one link for its whole life. What is heard of a link that was replaced counts for
/// nothing: calls that hang in it time out long after the swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u64);

/// The limits of a watchdog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Unanswered calls in a row that make a master suspect.
    pub(super) strikes: u32,
    /// Pause between the first two rounds of questions while a master is suspect. It doubles up
    /// to four times itself: a thousand clients ask the nodes that are left.
    pub(super) ask_every: Duration,
    /// Pause between two rounds that redirects ask for.
    pub(super) refresh_every: Duration,
    /// Most nodes that one round asks, seeds aside.
    pub(super) asked_max: usize,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask each of `panel` for its view and find out whether each of `suspects` answers at all,
    /// over connections of their own and within a time; then say so to [`Watchdog::answered`].
    Ask { panel: Vec<Endpoint>, suspects: Vec<Endpoint> },
    /// Build a link to each of these beside those in use and within a time; then say which stand
    /// to [`Watchdog::built`].
    Build(Vec<Endpoint>),
    /// Send what comes from now on by this table.
    Swap(SlotTable),
}

#[derive(Debug)]
struct Watched {
    link: LinkId,
    strikes: u32,
    is_suspect: bool,
}

#[derive(Debug)]
enum Phase {
    Resting,
    Asking,
    Building(SlotTable),
}

/// The state of one cluster's watch.
#[derive(Debug)]
pub(super) struct Watchdog {
    limits: Limits,
    seeds: Vec<Endpoint>,
    table: SlotTable,
    masters: BTreeMap<Endpoint, Watched>,
    phase: Phase,
    due: Option<Duration>,
    last_round: Option<Duration>,
    /// Rounds since somebody became suspect.
    rounds: u32,
}

impl Watchdog {
    /// Knows nothing but `seeds`, and asks them first. They are asked again when fewer than two
    /// other nodes are known, or no master answers: all may have moved to other addresses.
    pub(super) fn new(limits: Limits, seeds: Vec<Endpoint>) -> Self {
        Self {
            limits,
            seeds,
            table: SlotTable::empty(),
            masters: BTreeMap::new(),
            phase: Phase::Resting,
            due: Some(Duration::ZERO),
            last_round: None,
            rounds: 0,
        }
    }

    /// A link answered, be it with an error: its master is well.
    pub(super) fn succeeded(&mut self, link: LinkId) {
        if let Some(watched) = self.watched(link) {
            watched.strikes = 0;
            watched.is_suspect = false;
        }
    }

    /// A call over a link was not answered in time, or the link broke and could not be mended.
    pub(super) fn failed(&mut self, link: LinkId, now: Duration) {
        let limit = self.limits.strikes;
        let Some(watched) = self.watched(link) else { return };
        watched.strikes = watched.strikes.saturating_add(1);
        if watched.strikes >= limit && !watched.is_suspect {
            watched.is_suspect = true;
            self.rounds = 0;
            self.want_round(now, Duration::ZERO);
        }
    }

    /// A node said that a slot lies elsewhere: the table is out of date.
    pub(super) fn redirected(&mut self, now: Duration) {
        self.want_round(now, self.limits.refresh_every);
    }

    /// When [`tick`](Self::tick) has something to do; `None` when only an event can change that.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| matches!(self.phase, Phase::Resting))
    }

    /// Begins a round of questions when one is due.
    pub(super) fn tick(&mut self, now: Duration) -> Option<Step> {
        if self.due()? > now {
            return None;
        }
        self.due = None;
        self.last_round = Some(now);
        self.rounds = self.rounds.saturating_add(1);
        self.phase = Phase::Asking;
        Some(Step::Ask { panel: self.panel(), suspects: self.suspects().cloned().collect() })
    }

    /// What a round brought: `views` of those of the `asked` nodes that answered, and which
    /// suspects are `alive`.
    pub(super) fn answered(
        &mut self,
        now: Duration,
        asked: usize,
        views: &[View],
        alive: &[Endpoint],
    ) -> Option<Step> {
        // Where no master answers, most of those who do are believed: there is nothing to lose.
        let asked = if self.is_lost() { views.len() } else { asked };
        let agreed = self.table.agreed(asked, views);
        let needs_link = |master: &&Endpoint| match self.masters.get(*master) {
            None => true,
            Some(watched) => watched.is_suspect && alive.contains(master),
        };
        let fresh: Vec<Endpoint> = agreed.masters().iter().filter(needs_link).cloned().collect();
        if !fresh.is_empty() {
            self.phase = Phase::Building(agreed);
            return Some(Step::Build(fresh));
        }
        self.phase = Phase::Resting;
        let is_new = !agreed.routes_like(&self.table);
        let step = self.swap(agreed, &[]);
        self.ask_again(now);
        is_new.then_some(step)
    }

    /// Which links stand; a master without one does not get its slots yet.
    pub(super) fn built(
        &mut self,
        now: Duration,
        wanted: &[Endpoint],
        links: &[(Endpoint, LinkId)],
    ) -> Option<Step> {
        let Phase::Building(agreed) = std::mem::replace(&mut self.phase, Phase::Resting) else {
            return None;
        };
        let stands = |master: &Endpoint| links.iter().any(|(built, _)| built == master);
        let lost: Vec<Endpoint> = wanted.iter().filter(|m| !stands(m)).cloned().collect();
        let next = self.table.agreed_without(&agreed, &lost);
        let is_new = !links.is_empty() || !next.routes_like(&self.table);
        let step = self.swap(next, links);
        if !lost.is_empty() {
            self.want_next(now);
        }
        self.ask_again(now);
        is_new.then_some(step)
    }

    /// Masters that do not answer now.
    pub(super) fn suspects(&self) -> impl Iterator<Item = &Endpoint> {
        self.masters.iter().filter(|(_, watched)| watched.is_suspect).map(|(master, _)| master)
    }

    /// Whether no master is known that answers: at the start, or when all of them went.
    fn is_lost(&self) -> bool {
        self.masters.values().all(|watched| watched.is_suspect)
    }

    fn swap(&mut self, table: SlotTable, links: &[(Endpoint, LinkId)]) -> Step {
        self.table = table;
        self.install(links);
        Step::Swap(self.table.clone())
    }

    /// Watches new links from a clean slate and forgets masters that serve nothing any more.
    fn install(&mut self, links: &[(Endpoint, LinkId)]) {
        let table = &self.table;
        self.masters.retain(|master, _| table.masters().contains(master));
        for (master, link) in links {
            if table.masters().contains(master) {
                let watched = Watched { link: *link, strikes: 0, is_suspect: false };
                self.masters.insert(master.clone(), watched);
            }
        }
    }

    fn watched(&mut self, link: LinkId) -> Option<&mut Watched> {
        self.masters.values_mut().find(|watched| watched.link == link)
    }

    /// A suspect stays suspect until a link is swapped in or it answers: it is asked about again.
    fn ask_again(&mut self, now: Duration) {
        if self.suspects().next().is_some() || self.table.masters().is_empty() {
            self.want_next(now);
        }
    }

    fn want_next(&mut self, now: Duration) {
        let pause = self.limits.ask_every * (1 << self.rounds.saturating_sub(1).min(2));
        self.want_round(now, pause);
    }

    fn want_round(&mut self, now: Duration, pause: Duration) {
        let earliest = self.last_round.map_or(now, |last| (last + pause).max(now));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }

    /// Who is asked: masters that answer first, then replicas, who know as much. A suspect is not
    /// asked: it may not answer, or answer from before its fall.
    fn panel(&self) -> Vec<Endpoint> {
        let masters = self.masters.iter().filter(|(_, watched)| !watched.is_suspect);
        let known = masters.map(|(master, _)| master).chain(self.table.replicas());
        let mut panel: Vec<Endpoint> = known.take(self.limits.asked_max).cloned().collect();
        if panel.len() < 2 || self.is_lost() {
            for seed in &self.seeds {
                if !panel.contains(seed) {
                    panel.push(seed.clone());
                }
            }
        }
        panel
    }
}

#[cfg(test)]
mod tests;
