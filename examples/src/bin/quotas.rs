//! One budget for all caches and tenants, and a part of it that a noisy tenant cannot take.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static PAGES: CacheSpec<u64, Vec<u8>> = CacheSpec::new("pages").ttl(mins(5));

fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(4 * MIB))?;
    // Before the tenant opens its first cache; another quota may follow at any time.
    let acme = manager.tenant("acme")?.quota(Quota::floor(MIB).ceiling(2 * MIB))?;
    let bolt = manager.tenant("bolt")?;
    let (of_acme, of_bolt) = (acme.open(&PAGES)?.blocking(), bolt.open(&PAGES)?.blocking());

    for page in 0..500 {
        of_acme.set(&page, vec![0; 1_000]);
    }
    // Ten times the budget, and each page is read again.
    for page in 0..40_000 {
        of_bolt.set(&page, vec![0; 1_000]);
        assert!(of_bolt.get(&page)?.is_some());
    }
    for page in 0..500 {
        assert!(of_acme.get(&page)?.is_some(), "its floor was not touched");
    }

    let usage = manager.usage_by_tenant();
    assert!(usage.iter().map(|(_, usage)| usage.bytes).sum::<u64>() <= 4 * MIB);
    for (tenant, usage) in usage.iter().filter(|(tenant, _)| !tenant.is_empty()) {
        println!("{tenant} holds {} entries in {} KiB", usage.entries, usage.bytes / KIB);
    }
    Ok(())
}
