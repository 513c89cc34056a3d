//! Does what the watchdog says: asks, builds and swaps, all beside the calls on their way.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, Result, ms};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::node::Node;
use super::routes::{Phase, Shared};
use super::view::View;
use super::watchdog::Step;
use crate::address::Endpoint;
use crate::error;

/// How long a round waits for the others once enough have answered. Nodes that are well answer
/// within it; one that hangs holds no round up.
const GRACE: Duration = ms(100);

/// Drives the watchdog of a cluster until the task is ended.
pub(super) async fn drive(shared: Arc<Shared>) {
    loop {
        let (step, due) = {
            let mut watchdog = shared.watchdog.lock();
            (watchdog.tick(shared.now()), watchdog.due())
        };
        match (step, due) {
            (Some(step), _) => perform(&shared, step).await,
            (None, Some(due)) => {
                tokio::select! {
                    () = sleep_until(shared.instant(due)) => {}
                    () = shared.wake.notified() => {}
                }
            }
            (None, None) => shared.wake.notified().await,
        }
    }
}

/// Performs a step and those it leads to.
async fn perform(shared: &Shared, first: Step) {
    let mut next = Some(first);
    let mut fresh: Vec<Arc<Node>> = Vec::new();
    while let Some(step) = next {
        next = match step {
            Step::Ask { panel, suspects } => {
                let heard = ask(shared, &panel, suspects).await;
                if let Some(fault) = heard.fault.filter(|_| shared.shards() == 0) {
                    shared.enter(Phase::Shut(fault));
                }
                let Heard { views, alive, .. } = heard;
                let mut watchdog = shared.watchdog.lock();
                watchdog.answered(shared.now(), panel.len(), &views, &alive)
            }
            Step::Build(masters) => {
                let (built, fault) = build(shared, &masters).await;
                if let Some(fault) = fault.filter(|_| shared.shards() == 0 && built.is_empty()) {
                    shared.enter(Phase::Shut(fault));
                }
                fresh = built;
                let links: Vec<_> =
                    fresh.iter().map(|node| (node.endpoint.clone(), node.id)).collect();
                shared.watchdog.lock().built(shared.now(), &masters, &links)
            }
            Step::Swap(table) => {
                shared.swap(table, &fresh);
                None
            }
        };
    }
}

/// What a round of questions brought.
#[derive(Default)]
struct Heard {
    views: Vec<View>,
    /// Suspects that answer a new connection.
    alive: Vec<Endpoint>,
    /// Why nobody answered.
    fault: Option<Error>,
}

/// Asks each node over a connection of its own.
async fn ask(shared: &Shared, panel: &[Endpoint], suspects: Vec<Endpoint>) -> Heard {
    let mut asked = JoinSet::new();
    let nodes = panel.iter().cloned().map(|at| (at, true));
    for (at, votes) in nodes.chain(suspects.into_iter().map(|at| (at, false))) {
        let door = shared.access.door(at.clone());
        asked.spawn(async move { (at.clone(), votes, view_from(&door, &at).await) });
    }
    // Who knows nothing yet has enough with one answer.
    let enough = if shared.shards() == 0 { 1 } else { panel.len() / 2 + 1 };
    let mut deadline = Instant::now() + shared.access.limits.connect_timeout;
    let mut heard = Heard::default();
    while let Ok(Some(answer)) = timeout_at(deadline, asked.join_next()).await {
        // A task of ours does not panic; if one is lost, its node did not answer.
        let Ok((at, votes, answer)) = answer else { continue };
        match (answer, votes) {
            (Ok(view), true) => heard.views.push(view),
            (Ok(_), false) => heard.alive.push(at),
            // A refused login says more than a refused connection.
            (Err(fault), _) if heard.fault.as_ref().is_none_or(Error::is_transient) => {
                heard.fault = Some(fault);
            }
            (Err(_), _) => {}
        }
        if heard.views.len() >= enough {
            deadline = deadline.min(Instant::now() + GRACE);
        }
    }
    if heard.views.is_empty() {
        let silent = || error::late("no node of the cluster answers in time");
        heard.fault.get_or_insert_with(silent);
    } else {
        heard.fault = None;
    }
    heard
}

async fn view_from(door: &crate::link::door::Door, at: &Endpoint) -> Result<View> {
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let answer = door.ask(&question).await.map_err(|fault| match error::is_no_cluster(&fault) {
        true => Error::config("the server is no node of a cluster; connect with its URL alone")
            .with("server", at),
        false => fault,
    })?;
    let view = View::read(&answer, at).ok_or_else(error::strange_reply)?;
    if view.ranges.is_empty() {
        let text = "the node serves no slot and knows nobody who does; it is no part of a cluster";
        return Err(Error::new(ErrorKind::Unavailable, text).with("server", at));
    }
    Ok(view)
}

/// Builds the way to each of these masters; gives those that stand in time.
async fn build(shared: &Shared, masters: &[Endpoint]) -> (Vec<Arc<Node>>, Option<Error>) {
    let within = shared.access.limits.connect_timeout;
    let mut building = JoinSet::new();
    for master in masters {
        let node = shared.fresh_node(master);
        building.spawn(async move {
            match timeout(within, node.single.connected()).await {
                Ok(connected) => connected.map(|()| node),
                Err(_) => Err(error::late("the node accepts no connection in time")),
            }
        });
    }
    let (mut standing, mut fault) = (Vec::new(), None);
    while let Some(built) = building.join_next().await {
        match built {
            Ok(Ok(node)) => standing.push(node),
            Ok(Err(why)) => fault = Some(why),
            // A task of ours does not panic; if one is lost, its way does not stand.
            Err(_) => {}
        }
    }
    (standing, fault)
}
