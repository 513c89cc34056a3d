//! A value takes the place of the one that was read, and of no other: who is late reads again.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;
use cache_enterprise::{IfVersion, Sequence};

static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(5));

async fn read(pages: &Cache<u64, String>) -> Result<Hit<String>, Box<dyn std::error::Error>> {
    Ok(pages.get_entry(&1).await?.ok_or("the page is gone")?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pages = CacheManager::in_memory(Capacity::entries(1_000))?.open(&PAGES)?;
    let new = pages.set_if_version(&1, "A page", Sequence::ZERO).await?;
    assert!(new.is_stored(), "zero stands for no value");

    let (seen_by_ada, seen_by_bob) = (read(&pages).await?, read(&pages).await?);
    let text = format!("{} by Ada", *seen_by_ada.value);
    assert!(pages.set_if_version(&1, text, seen_by_ada.version).await?.is_stored());

    let text = format!("{} by Bob", *seen_by_bob.value);
    let late = pages.set_if_version(&1, text, seen_by_bob.version).await?;
    println!("Bob is late: {late:?}");
    assert!(matches!(late, IfVersion::Changed(version) if version > seen_by_bob.version));

    let seen = read(&pages).await?;
    let text = format!("{} and Bob", *seen.value);
    assert!(pages.set_if_version(&1, text, seen.version).await?.is_stored());
    let page = pages.get(&1).await?;
    println!("nothing is lost: {page:?}");
    assert_eq!(page.as_deref().map(String::as_str), Some("A page by Ada and Bob"));
    Ok(())
}
