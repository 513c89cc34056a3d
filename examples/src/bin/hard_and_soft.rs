//! `expire` ends the fresh life and leaves a fallback for a failing loader; `remove` leaves
//! nothing.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static RATES: CacheSpec<String, f64> =
    CacheSpec::new("rates").ttl(mins(1)).stale_if_error(hours(1));

/// The origin is down.
async fn rate() -> Result<f64, &'static str> {
    Err("no connection")
}

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let rates = CacheManager::in_memory(Capacity::entries(1_000))?.open(&RATES)?;
    rates.set("EUR", 1.08).await;

    rates.expire("EUR").await;
    assert!(rates.get("EUR").await?.is_none(), "no longer fresh");
    let fallback = rates.try_get_with("EUR", rate).await;
    println!("the load failed, the old rate answers: {:?}", fallback.as_deref().ok());
    assert_eq!(fallback.as_deref().ok(), Some(&1.08));

    rates.remove("EUR").await;
    let failed = rates.try_get_with("EUR", rate).await;
    println!("after a removal the failure is told: {:?}", failed.as_deref().err());
    assert!(failed.is_err());
    Ok(())
}
