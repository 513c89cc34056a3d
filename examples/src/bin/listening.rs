//! Hearing of invalidations and removals: as a stream, or by a hook that holds up no write.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::mpsc;

use cache_enterprise::Happening;
use cache_enterprise::prelude::*;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = CacheManager::in_memory(Capacity::entries(1_000))?;
    let users = manager.open(&USERS)?;
    users.set(&7, "Ada").await;

    let mut events = manager.events(1_000);
    let (sender, heard) = mpsc::channel();
    manager.on_invalidate(move |happening| {
        if let Happening::Ended { targets, .. } = happening {
            // Nobody may listen any more.
            let _ = sender.send(targets.clone());
        }
    })?;
    users.remove(&7).await;
    manager.invalidate(tag!("org:1")).await;

    let mut told = Vec::new();
    while let Some(happening) = events.try_recv() {
        told.push(match happening {
            Happening::Removed { cache, keys, .. } => format!("removed {keys:?} of {cache}"),
            Happening::Ending { targets, .. } => format!("ending {targets:?}"),
            Happening::Ended { targets, .. } => format!("ended {targets:?}"),
            other => format!("{other:?}"),
        });
    }
    println!("{told:#?}");
    let expected =
        [r#"removed ["7"] of users"#, r#"ending ["tag org:1"]"#, r#"ended ["tag org:1"]"#];
    assert_eq!(told, expected);
    assert_eq!(events.missed(), 0, "it was never behind by more than its room");
    assert_eq!(heard.recv()?, ["tag org:1"]);
    Ok(())
}
