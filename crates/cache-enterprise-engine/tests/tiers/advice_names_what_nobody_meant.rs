//! Bad mixes of options are named with a code, and every code has its section in the docs.

use std::collections::BTreeSet;
use std::sync::Arc;

use cache_enterprise_core::{Backend, Capabilities, Clock, OpenedBackend, days, mins, secs};
use cache_enterprise_engine::{CacheManager, CacheSpec, Severity, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::ModelBackend;

use crate::kept::Kept;

static PLAIN: CacheSpec<u64, u64> = CacheSpec::new("plain").ttl(mins(5));
static UNHEARD: CacheSpec<u64, u64> = CacheSpec::new("unheard").ttl(mins(5)).l1_ttl(mins(2));
static IDLE: CacheSpec<u64, u64> = CacheSpec::new("idle").ttl(mins(5)).idle(mins(5));
static ABSENT: CacheSpec<u64, u64> = CacheSpec::new("absent").ttl(secs(5)).negative_ttl(mins(1));
static EVEN: CacheSpec<u64, u64> = CacheSpec::new("even").ttl(mins(5)).jitter(0.0);
static LATE: CacheSpec<u64, u64> =
    CacheSpec::new("late").ttl(mins(5)).hard_timeout(secs(1)).takeover_after(secs(1));
static OLD: CacheSpec<u64, u64> = CacheSpec::new("old").ttl(days(31));

fn model(change: impl FnOnce(Capabilities) -> Capabilities) -> Arc<ModelBackend> {
    let model = ModelBackend::new(Clock::manual());
    let plain = Capabilities { durable: false, ..model.capabilities() };
    Arc::new(model.claiming(change(plain)))
}

fn shared() -> Arc<ModelBackend> {
    model(|able| Capabilities { shared: true, ..able })
}

async fn codes(tiers: Vec<Tier>, specs: &[&CacheSpec<u64, u64>]) -> BTreeSet<&'static str> {
    let mut builder = None;
    for tier in tiers {
        builder = Some(match builder {
            None => CacheManager::builder("advised").clock(Clock::manual()).l2(tier),
            Some(builder) => cache_enterprise_engine::ManagerBuilder::tier(builder, tier),
        });
    }
    let manager = builder.unwrap().codec(MessagePack).build().await.unwrap();
    for spec in specs {
        manager.open(*spec).unwrap();
    }
    let advice = manager.advice();
    assert!(advice.is_sorted_by(|left, right| left.severity >= right.severity));
    let printed = manager.describe().to_string();
    assert!(advice.iter().all(|advice| printed.contains(advice.code)), "{printed}");
    advice.iter().map(|advice| advice.code).collect()
}

#[tokio::test]
async fn a_plain_manager_is_told_nothing() {
    let tier = Tier::new(model(|able| able));
    assert!(codes(vec![tier], &[&PLAIN]).await.is_empty());
}

#[tokio::test]
async fn each_mix_has_its_code() {
    let specs = [&PLAIN, &UNHEARD, &IDLE, &ABSENT, &EVEN, &LATE, &OLD];
    let told = codes(vec![Tier::new(shared())], &specs).await;
    assert_eq!(told, ["CE101", "CE201", "CE202", "CE203", "CE204", "CE205", "CE206"].into());
    let private = OpenedBackend::new(shared()).with_epochs(Arc::new(Kept::default()));
    assert_eq!(codes(vec![private.into()], &[]).await, ["CE102"].into());
    let durable = model(|able| Capabilities { durable: true, ..able });
    assert_eq!(codes(vec![durable.into()], &[]).await, ["CE103"].into());
    let loose = model(|able| Capabilities { shared: true, fence: false, ..able });
    let bare = Tier::new(loose).bare().write(WritePolicy::Behind { queue_max: 10 });
    let told = codes(vec![bare], &[]).await;
    assert_eq!(told, ["CE101", "CE104", "CE105", "CE106", "CE108"].into());
    let slow = Tier::new(model(|able| able)).timeout(secs(30));
    assert_eq!(codes(vec![slow], &[]).await, ["CE107"].into());
}

#[tokio::test]
async fn what_is_unsafe_is_an_error() {
    let manager = CacheManager::builder("advised").l2(shared()).codec(MessagePack);
    let advice = manager.build().await.unwrap().advice();
    assert_eq!((advice[0].code, advice[0].severity), ("CE101", Severity::Error));
    assert_eq!(advice[0].about, "manager");
}

#[test]
fn every_code_is_documented() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/advice.md");
    let page = std::fs::read_to_string(page).unwrap();
    let codes = (101..=109).chain(201..=206).map(|number| format!("CE{number}"));
    for code in codes {
        assert!(page.contains(&format!("| {code} |")), "{code} has no row");
    }
}
