//! The shared tier fails under a running instance: every call to it is an error.

use std::sync::Arc;

use super::{Tally, Verdict};
use crate::crowd::Crowd;
use crate::library::{Answer, Library};
use crate::origin::Origin;

const KEYS: usize = 8;
const CALLERS_EACH: usize = 100;
const CALLERS: usize = KEYS * CALLERS_EACH;

/// Passes when no caller gets an error and each key is loaded once, a second read of it included.
pub(super) async fn play(library: &dyn Library) -> Answer<Verdict> {
    let tier = library.shared().await?;
    let cache = tier.join().await?;
    tier.fail();
    let (origin, crowd) = (Origin::new(), Crowd::default());
    let call = |caller: usize| {
        let key = format!("key{}", caller % KEYS);
        let (cache, crowd, load) = (Arc::clone(&cache), crowd.clone(), origin.load(&key, caller));
        tokio::spawn(async move { crowd.ask(cache.get_or_load(&key, None, load)).await })
    };
    let callers: Vec<_> = (0..CALLERS).map(call).collect();
    crowd.asked(CALLERS).await;
    origin.open();
    let mut tally = Tally::default();
    for caller in callers {
        tally.add(caller.await);
    }
    // Once more, one caller a key.
    for again in (CALLERS..CALLERS + KEYS).map(call) {
        tally.add(again.await);
    }
    let most = origin.loads_of_each().into_values().max().unwrap_or(0);
    let seen = format!(
        "{CALLERS} callers of {KEYS} keys, then one more each: {tally}; most loads of a key: {most}"
    );
    Ok(Verdict::new(tally.values == CALLERS + KEYS && most == 1, seen))
}
