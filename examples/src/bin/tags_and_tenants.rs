//! Invalidating by tag and clearing a tenant, each in one step and without touching others.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static PRICES: CacheSpec<String, u64> = CacheSpec::new("prices").ttl(mins(1));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    let (acme, bolt) = (manager.tenant("acme")?, manager.tenant("bolt")?);
    let (of_acme, of_bolt) = (acme.open(&PRICES)?, bolt.open(&PRICES)?);
    for prices in [&of_acme, &of_bolt] {
        prices.set("tea", 250_u64).tags([tag!("shelf:{}", 7)]).await;
        prices.set("milk", 120_u64).await;
    }

    acme.invalidate(tag!("shelf:7")).await;
    assert!(of_acme.peek("tea").is_none() && of_acme.peek("milk").is_some());
    assert!(of_bolt.peek("tea").is_some(), "a tag belongs to one tenant");

    acme.clear().await;
    assert!(of_acme.peek("milk").is_none() && of_bolt.peek("milk").is_some());
    println!("acme is empty, bolt keeps {} prices", of_bolt.len());
    Ok(())
}
