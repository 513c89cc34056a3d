//! The generated workload: repeatable, shared as configured, skewed, with stable sizes.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use cache_enterprise_workload::{Catalogue, CatalogueConfig, Operation, OperationKind};

fn operations(seed: u64, stream: u64, count: usize) -> Vec<Operation> {
    let catalogue = Catalogue::new(CatalogueConfig::seeded(seed)).unwrap();
    catalogue.operations(stream).take(count).collect()
}

#[test]
fn seed_and_stream_decide_everything() {
    assert_eq!(operations(1, 0, 1000), operations(1, 0, 1000));
    assert_ne!(operations(1, 0, 1000), operations(2, 0, 1000));
    assert_ne!(operations(1, 0, 1000), operations(1, 1, 1000));
}

/// Stored numbers: a change of hash, generator or order of draws would silently make every
/// published figure one of another workload.
#[test]
fn the_first_operations_of_seed_42_never_change() {
    let first: Vec<_> =
        operations(42, 0, 4).iter().map(|o| (o.tenant, o.key, o.size, o.kind)).collect();
    assert_eq!(first, FIRST_OF_42);
}

const FIRST_OF_42: [(usize, u64, u32, OperationKind); 4] = [
    (3, 6, 560, OperationKind::Read),
    (1, 0, 2144, OperationKind::Read),
    (1, 524, 2177, OperationKind::Read),
    (0, 10_161, 3014, OperationKind::Read),
];

#[test]
fn tenants_writes_and_hot_keys_take_their_share() {
    const COUNT: usize = 200_000;
    let all = operations(3, 0, COUNT);
    let share = |wanted: &dyn Fn(&Operation) -> bool| {
        all.iter().filter(|operation| wanted(operation)).count() as f64 / COUNT as f64
    };
    for (tenant, expected) in [0.50, 0.25, 0.15, 0.10].into_iter().enumerate() {
        let found = share(&|operation| operation.tenant == tenant);
        assert!((found - expected).abs() < 0.005, "tenant {tenant}: {found}");
    }
    let writes = share(&|operation| operation.kind == OperationKind::Write);
    assert!((writes - 0.05).abs() < 0.002, "{writes}");

    // Of 20 000 keys under exponent 0.99 the first hundredth takes 54 % by the exact law.
    let weight = |keys: u64| (1..=keys).map(|rank| (rank as f64).powf(-0.99)).sum::<f64>();
    let expected = 0.50 * weight(200) / weight(20_000);
    let hot = share(&|operation| operation.tenant == 0 && operation.key < 200);
    assert!((hot - expected).abs() < 0.005, "{hot} instead of {expected}");
}

#[test]
fn shares_of_nothing_and_of_everything_are_kept() {
    for (write_share, kind) in [(0.0, OperationKind::Read), (1.0, OperationKind::Write)] {
        let config = CatalogueConfig { write_share, ..CatalogueConfig::seeded(1) };
        let catalogue = Catalogue::new(config).unwrap();
        assert!(catalogue.operations(0).take(5000).all(|operation| operation.kind == kind));
    }
}

#[test]
fn a_value_keeps_its_size_and_its_bytes() {
    let catalogue = Catalogue::new(CatalogueConfig::seeded(9)).unwrap();
    let again = Catalogue::new(CatalogueConfig::seeded(9)).unwrap();
    for operation in again.operations(7).take(2000) {
        let value = catalogue.payload(operation.tenant, operation.key);
        assert_eq!(value.len(), operation.size as usize);
        assert_eq!(value, again.payload(operation.tenant, operation.key));
    }
}

#[test]
fn sizes_fill_their_range_and_lean_to_its_lower_end() {
    let catalogue = Catalogue::new(CatalogueConfig::seeded(9)).unwrap();
    let sizes: Vec<u32> = (0..20_000).map(|key| catalogue.value_size(0, key)).collect();
    let mean = sizes.iter().map(|&size| f64::from(size)).sum::<f64>() / sizes.len() as f64;
    let expected = 200.0 + (8192.0 - 200.0) / 3.0;
    assert!((mean - expected).abs() < 60.0, "{mean} instead of {expected}");
    assert!(sizes.iter().all(|size| (200..=8192).contains(size)));
    assert!(sizes.iter().any(|&size| size < 300) && sizes.iter().any(|&size| size > 7500));
}

#[test]
fn values_of_distinct_keys_and_tenants_differ() {
    let catalogue = Catalogue::new(CatalogueConfig::seeded(9)).unwrap();
    let values: HashSet<_> = (0..4)
        .flat_map(|tenant| (0..500).map(move |key| (tenant, key)))
        .map(|(tenant, key)| catalogue.payload(tenant, key))
        .collect();
    assert_eq!(values.len(), 2000);
}

#[test]
fn a_payload_shorter_than_its_own_name_is_cut_to_size() {
    let config = CatalogueConfig { sizes: 0..=3, ..CatalogueConfig::seeded(1) };
    let catalogue = Catalogue::new(config).unwrap();
    for key in 0..100 {
        let value = catalogue.payload(0, key);
        assert_eq!(value.len(), catalogue.value_size(0, key) as usize);
        assert!(b"acme:".starts_with(&value));
    }
}
