//! Ten thousand callers ask for one cold key at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::item::Judgement;
use super::world::World;
use crate::failure::Failure;

const CALLERS: u64 = 10_000;

/// Long enough for all callers to arrive before the value does.
const LOAD: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stampede {
    pub(crate) callers: u64,
    pub(crate) loader_calls: u64,
    /// Callers that did not get the item asked for.
    #[serde(skip)]
    pub(crate) wrong: u64,
    #[serde(skip)]
    pub(crate) took: Duration,
}

pub(crate) async fn run(world: &Arc<World>) -> Result<Stampede, Failure> {
    let ask = Arc::new(world.plan.cold_ask());
    let items = world.items(&ask)?;
    let calls = Arc::new(AtomicU64::new(0));
    let (start, started) = watch::channel(false);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (world, ask, items) = (Arc::clone(world), Arc::clone(&ask), items.clone());
        let (calls, mut started) = (Arc::clone(&calls), started.clone());
        callers.spawn(async move {
            // An error means that nobody will start anything; the sender outlives all callers.
            let _ = started.wait_for(|started| *started).await;
            let item = items
                .get_with(&ask.key, || async {
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(LOAD).await;
                    world.origin.load(&world.plan, &ask).await
                })
                .await;
            item.judge("", &ask.key.0, 0, Some(&world.plan.expected(&ask, &item)))
                == Judgement::Right
        });
    }
    let begun = Instant::now();
    start.send_replace(true);
    let answers = callers.join_all().await;
    let wrong = answers.iter().filter(|is_right| !**is_right).count() as u64;
    let loader_calls = calls.load(Ordering::Relaxed);
    Ok(Stampede { callers: CALLERS, loader_calls, wrong, took: begun.elapsed() })
}
