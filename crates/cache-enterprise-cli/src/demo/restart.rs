//! The manager is dropped and opened anew on the same levels.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise::Source;
use serde::Serialize;

use super::item::Judgement;
use super::requests::Ask;
use super::world::World;
use crate::args::DemoArgs;
use crate::failure::Failure;

const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// What the new manager found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Restart {
    pub(crate) warm_hits: u64,
    #[serde(skip)]
    pub(crate) asked: u64,
    #[serde(skip)]
    pub(crate) wrong: u64,
    #[serde(skip)]
    pub(crate) opened_in: Duration,
    #[serde(skip)]
    pub(crate) is_clean: bool,
}

/// Shuts `world` down, opens its levels again and asks for what was asked for lately.
pub(crate) async fn run(
    world: Arc<World>,
    args: &DemoArgs,
    mut recent: Vec<Ask>,
) -> Result<Restart, Failure> {
    recent.push(world.plan.cold_ask());
    let report = world.manager.shutdown(SHUTDOWN_MAX).await;
    let acknowledged: Vec<_> = recent.iter().map(|ask| world.origin.acknowledged(ask)).collect();
    let (plan, levels) = (world.plan.clone(), Arc::clone(&world.levels));
    drop(world);

    let world = World::open(args, plan, Duration::ZERO, &levels).await?;
    let (mut warm_hits, mut wrong) = (0, 0);
    let mut seen = HashSet::new();
    for (ask, revision) in recent.iter().zip(acknowledged) {
        if !seen.insert((ask.tenant.clone(), ask.key.clone())) {
            continue;
        }
        let Some(hit) = world.items(ask)?.get_entry(&ask.key).await? else { continue };
        warm_hits += u64::from(matches!(hit.source, Source::Tier(_)));
        let body = world.plan.expected(ask, &hit.value);
        let tenant = world.plan.tenant_name(ask);
        let judgement = hit.value.judge(tenant, &ask.key.0, revision, Some(&body));
        wrong += u64::from(judgement != Judgement::Right);
    }
    world.manager.shutdown(SHUTDOWN_MAX).await;
    Ok(Restart {
        warm_hits,
        asked: seen.len() as u64,
        wrong,
        opened_in: world.opened_in,
        is_clean: report.is_clean(),
    })
}
