//! Levels from a settings text; every option in force says where it was written.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

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
    println!("{}", manager.describe());

    let users = manager.open(&USERS)?;
    users.set(&7, "Ada").await;
    users.drop_level1();
    let hit = users.get_entry(&7).await?.ok_or("the disk lost the entry")?;
    println!("{} came from {:?}", *hit.value, hit.source);
    assert!(manager.shutdown(secs(30)).await.is_clean());

    // Everything that is wrong is told at once, with the place and what to do.
    let wrong = Settings::builder().set("codex", "json").set("defaults.ttl", "soon").build();
    println!("{}", wrong.expect_err("two mistakes"));
    Ok(())
}
