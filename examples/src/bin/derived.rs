//! What was made of an entry ends with it, and so does what was made of that.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5)).has_dependents();
static CARDS: CacheSpec<u64, String> = CacheSpec::new("cards").ttl(mins(5)).has_dependents();
static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").ttl(mins(5));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    let (users, cards) = (manager.open(&USERS)?, manager.open(&CARDS)?);
    let pages = manager.open(&PAGES)?;
    for (id, name) in [(1, "Ada"), (2, "Bob")] {
        users.set(&id, name).await;
        cards.set(&id, format!("<li>{name}</li>")).depends_on(&users, &id).await;
    }

    // A load says the same: of one parent here, of those it finds by its context's `depends_on`.
    let page = pages.fetch("home").depends_on(&cards, &1);
    let page = page.with(async || Ok::<_, std::io::Error>("<h1>Home</h1>")).await;
    println!("{page:?}");
    assert!(pages.contains("home"));

    users.set(&1, "Countess").await;
    println!("one user changed; is the card there: {}", cards.contains(&1));
    assert!(!cards.contains(&1), "it was made of that user");
    assert!(!pages.contains("home"), "it was made of that card");
    assert!(cards.contains(&2));
    Ok(())
}
