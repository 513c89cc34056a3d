//! Ten thousand callers of one cold key. The load ends when all have asked.

use std::sync::Arc;

use super::{Tally, Verdict};
use crate::crowd::Crowd;
use crate::library::{Answer, Library};
use crate::origin::Origin;

const CALLERS: usize = 10_000;
const KEY: &str = "cold";

/// How the first load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    /// The task of the caller whose loader runs is dropped.
    LeaderDropped,
    LeaderPanics,
}

/// Passes when every caller gets the value and the loader ran once; where the leader is lost, when
/// every other caller gets it and the loader ran at most once more.
pub(super) async fn play(library: &dyn Library, end: End) -> Answer<Verdict> {
    let cache = library.alone().await?;
    let (origin, crowd) = (Origin::new(), Crowd::default());
    if end == End::LeaderPanics {
        origin.panic_first();
    }
    let call = |caller| {
        let (cache, crowd, load) = (Arc::clone(&cache), crowd.clone(), origin.load(KEY, caller));
        tokio::spawn(async move { crowd.ask(cache.get_or_load(KEY, None, load)).await })
    };
    let mut callers: Vec<_> = (0..CALLERS).map(call).collect();
    crowd.asked(CALLERS).await;
    origin.begun(1).await;
    if let (End::LeaderDropped, Some(leader)) = (end, origin.leader()) {
        let leader = callers.swap_remove(leader);
        leader.abort();
        // Its end is that of a dropped task, which is what was asked for.
        let _ = leader.await;
    }
    origin.open();
    let mut tally = Tally::default();
    for caller in callers {
        tally.add(caller.await);
    }
    let loads = origin.loads();
    let passes = match end {
        End::Well => tally.values == CALLERS && loads == 1,
        End::LeaderDropped | End::LeaderPanics => tally.values >= CALLERS - 1 && loads <= 2,
    };
    let lost = if end == End::LeaderDropped { ", one dropped" } else { "" };
    Ok(Verdict::new(passes, format!("{CALLERS} callers{lost}: {tally}; loads: {loads}")))
}
