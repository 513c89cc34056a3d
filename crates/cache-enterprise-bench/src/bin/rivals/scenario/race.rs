//! A key, or its tag, is invalidated while it is loaded. Whoever asks next must not get what the
//! load had read before.

use std::sync::Arc;

use tokio::task::yield_now;

use super::Verdict;
use crate::library::{Answer, Library, Refusal};
use crate::origin::Origin;

const KEY: &str = "user";
const TAG: &str = "org7";

/// Turns of the runtime in which an invalidation may end before the load does. It is said where
/// one waits for the load.
const TURNS_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Key,
    Tag,
}

/// Passes when the read after the race gives the new version.
pub(super) async fn play(library: &dyn Library, target: Target) -> Answer<Verdict> {
    let cache = library.alone().await?;
    let origin = Origin::new();
    let tag = (target == Target::Tag).then_some(TAG);
    let running = {
        let (cache, load) = (Arc::clone(&cache), origin.load(KEY, 0));
        tokio::spawn(async move { cache.get_or_load(KEY, tag, load).await })
    };
    origin.begun(1).await;
    origin.change(2);
    let removal = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            match target {
                Target::Key => cache.remove(KEY).await,
                Target::Tag => cache.invalidate_tag(TAG).await,
            }
        })
    };
    for _ in 0..TURNS_MAX {
        if removal.is_finished() {
            break;
        }
        yield_now().await;
    }
    let has_waited = !removal.is_finished();
    origin.open();
    removal.await.map_err(Refusal::failed)??;
    let running = running.await.map_err(Refusal::failed)??;
    let next = cache.get_or_load(KEY, tag, origin.load(KEY, 1)).await?;
    let order = if has_waited { "after" } else { "during" };
    let seen = format!(
        "invalidated {order} the load of version 1, which answered {running}; the next read got version {next}"
    );
    Ok(Verdict::new(next == 2, seen))
}
