//! Levels from a settings text; every option in force says where it was written.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::Source;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::Format;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users");

const TEXT: &str = r#"
name = "shop"
compression_algorithm = "zstd"

[defaults]
ttl = "5m"

[[levels]]
kind = "memory"
max_size = "64MiB"

[[levels]]
kind = "disk"
max_size = "256MiB"
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let settings = Settings::builder()
        .text(Format::Toml, TEXT)
        .set("levels.1.path", folder.path().display())
        .build()?;
    let manager = CacheManager::from_settings(settings).await?;
    let options = manager.describe();
    println!("{options}");
    let ttl = options.row("ttl").ok_or("each option in force has a row")?;
    assert_eq!(ttl.origin.to_string(), "settings, text:6:1");

    let users = manager.open(&USERS)?;
    users.set(&7, "Ada").await;
    users.drop_level1();
    let hit = users.get_entry(&7).await?.ok_or("the disk lost the entry")?;
    println!("{} came from {:?}", *hit.value, hit.source);
    assert_eq!(hit.source, Source::Tier(2));
    assert!(manager.shutdown(secs(30)).await.is_clean());

    // Everything that is wrong is told at once, with the place and what to do.
    let wrong = Settings::builder().set("codex", "json").set("defaults.ttl", "soon").build();
    let wrong = wrong.expect_err("two mistakes").to_string();
    println!("{wrong}");
    assert!(wrong.contains("`codex`") && wrong.contains("`defaults.ttl`"));
    Ok(())
}
