//! The backend suite finds each planted fault, and finds it by the right case.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, KeyPrefix, OpContext, Put, PutOutcome, Result, ScanPage,
    Sequence, StoredKey, Swapped,
};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::{Clock, ModelBackend};

const VALUE_BYTES_MAX: usize = 8 << 20;

/// What is wrong with a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    ForgetsTtlOnReplace,
    CallsFailuresMisses,
    MixesUpBatches,
    FencesNothing,
    TearsWrites,
    RemovesBeforeItPuts,
    ClearsNeighbours,
    ShowsValuesInErrors,
    PretendsToTouch,
    TrustsScanLimits,
    ForgetsWhenReopened,
    SwapsBlindly,
    SwapsOverRemovals,
    SaysNothingStands,
    SwapsToOlder,
    RemovalsForgetVersions,
    EndsLivesUnclaimed,
    KeepsWhatIsOlder,
    FencesNothingItRefused,
    RefusesBeforeItCompares,
}

#[derive(Debug)]
struct Broken {
    model: ModelBackend,
    fault: Fault,
}

impl Broken {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn reopened(&self) -> Self {
        Self { model: self.model.reopened(), fault: self.fault }
    }
}

#[async_trait]
impl Backend for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        let touch = !self.has(Fault::PretendsToTouch);
        let expiry = !self.has(Fault::EndsLivesUnclaimed);
        Capabilities { touch, expiry, ..self.model.capabilities() }
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        match self.model.get(key, ctx).await {
            Err(_) if self.has(Fault::CallsFailuresMisses) => Ok(None),
            answer => answer,
        }
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        mut how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        if value.len() > VALUE_BYTES_MAX {
            match self.fault {
                Fault::KeepsWhatIsOlder => return Ok(PutOutcome::Refused),
                Fault::FencesNothingItRefused => how.version = Sequence::ZERO,
                Fault::RefusesBeforeItCompares => {}
                _ => return self.model.put(key, value, how, ctx).await,
            }
            self.model.remove(key, how.version, ctx).await?;
            return Ok(PutOutcome::Refused);
        }
        let old = self.model.get(key, ctx).await.unwrap_or_default();
        match (self.fault, old) {
            (Fault::ForgetsTtlOnReplace, Some(_)) => how.ttl = None,
            (Fault::FencesNothing, _) => how.version = Sequence(u64::MAX),
            (Fault::RemovesBeforeItPuts, Some(_)) => {
                self.model.remove(key, Sequence::ZERO, ctx).await?;
                tokio::task::yield_now().await;
            }
            (Fault::TearsWrites, Some(old)) => {
                let half = [&value[..value.len() / 2], &old[old.len() / 2..]].concat();
                self.model.put(key, half.into(), how, ctx).await?;
                tokio::task::yield_now().await;
            }
            (Fault::ShowsValuesInErrors, _) => {
                let text = String::from_utf8_lossy(&value).into_owned();
                let answer = self.model.put(key, value, how, ctx).await;
                return answer.map_err(|error| error.with("value", text));
            }
            _ => {}
        }
        self.model.put(key, value, how, ctx).await
    }

    async fn put_many(
        &self,
        mut items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        if self.has(Fault::MixesUpBatches) {
            items.reverse();
        }
        self.model.put_many(items, ctx).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        if self.has(Fault::RemovalsForgetVersions) && self.model.get(key, ctx).await?.is_some() {
            // Without fences the version is replaced by an older one.
            let unfenced = self.model.reopened().claiming(Capabilities::default());
            unfenced.put(key, "going".into(), Put::default(), ctx).await?;
        }
        self.model.remove(key, at, ctx).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        mut how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        match self.fault {
            Fault::SwapsBlindly => {
                self.model.put(key, value, how, ctx).await?;
                return Ok(Swapped::Stored);
            }
            Fault::SwapsToOlder => how.version = how.version.max(expected),
            Fault::SwapsOverRemovals => how.version = Sequence(u64::MAX),
            _ => {}
        }
        let swapped = self.model.swap(key, value, how, expected, ctx).await?;
        Ok(match swapped {
            Swapped::Changed(_) if self.has(Fault::SaysNothingStands) => {
                Swapped::Changed(Sequence::ZERO)
            }
            swapped => swapped,
        })
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.model.touch(key, ttl, ctx).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        if self.has(Fault::TrustsScanLimits) {
            drop(Vec::<StoredKey>::with_capacity(limit));
        }
        self.model.scan(prefix, from, limit).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        if !self.has(Fault::ClearsNeighbours) {
            return self.model.clear_prefix(prefix).await;
        }
        let everything = KeyPrefix::manager("suite");
        let page = self.model.scan(&everything, None, usize::MAX).await?;
        let start = prefix.as_str().trim_end_matches(':');
        for key in page.keys.iter().filter(|key| key.as_str().starts_with(start)) {
            self.model.remove(key, Sequence::ZERO, &OpContext::default()).await?;
        }
        Ok(())
    }

    async fn health(&self) -> BackendHealth {
        self.model.health().await
    }

    async fn close(&self) -> Result<()> {
        self.model.close().await
    }
}

fn model(clock: &Clock) -> ModelBackend {
    let model = ModelBackend::new(clock.clone());
    let limited = Capabilities { value_bytes_max: Some(VALUE_BYTES_MAX), ..model.capabilities() };
    model.claiming(limited)
}

async fn report(fault: Fault) -> Report {
    backend::run(|| async {
        let clock = Clock::manual();
        let broken = Arc::new(Broken { model: model(&clock), fault });
        let stored = Arc::clone(&broken);
        Fixture::new(broken).clock(clock.clone()).reopen(move || {
            let again = match stored.fault {
                Fault::ForgetsWhenReopened => emptied(&stored, &clock),
                _ => stored.reopened(),
            };
            async move { Arc::new(again) as _ }
        })
    })
    .await
}

/// A restart that comes back with neither values nor fences.
fn emptied(stored: &Broken, clock: &Clock) -> Broken {
    Broken { model: model(clock), fault: stored.fault }
}

async fn assert_found(fault: Fault, by: &[&str]) {
    let report = report(fault).await;
    let failed = report.failed();
    for case in by {
        assert!(failed.contains(case), "{fault:?} passes {case}\n{report}");
    }
    // A fault is told from others by what it leaves right.
    assert!(failed.len() < 40, "{fault:?} fails nearly everything\n{report}");
    println!("backend conformance finds {fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_fault_the_wrapper_passes() {
    report(Fault::Nothing).await.assert_passed();
}

macro_rules! found {
    ($($test:ident: $fault:ident by [$($case:ident),+ $(,)?];)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            assert_found(Fault::$fault, &[$(stringify!($case)),+]).await;
        }
    )*};
}

found! {
    a_ttl_forgotten_on_replace_is_found: ForgetsTtlOnReplace by [
        a_replacement_with_a_shorter_ttl_ends_sooner,
        a_replacement_gives_an_endless_value_an_end,
        a_replacement_with_a_longer_ttl_ends_later,
    ];
    a_failure_called_a_miss_is_found: CallsFailuresMisses by [
        a_get_after_the_close_says_closed,
        a_close_among_calls_breaks_none_of_them,
    ];
    a_batch_in_another_order_is_found: MixesUpBatches by [
        put_many_of_one_key_twice_keeps_the_last,
        put_many_gives_each_outcome_in_its_place,
    ];
    a_fence_that_lets_older_values_pass_is_found: FencesNothing by [
        an_older_put_after_a_newer_put_is_fenced,
        an_older_put_after_a_removal_is_fenced,
        fences_work_at_the_borders_of_the_number,
        of_racing_versions_the_newest_stands,
        a_removal_among_late_puts_stands,
    ];
    a_torn_write_is_found: TearsWrites by [
        readers_see_only_whole_values_that_were_written,
        a_call_dropped_anywhere_leaves_a_whole_value,
    ];
    a_value_lost_by_a_dropped_call_is_found: RemovesBeforeItPuts by [
        a_reader_never_sees_less_than_was_acknowledged,
        a_call_dropped_anywhere_leaves_a_whole_value,
    ];
    a_clear_that_reaches_a_neighbour_is_found: ClearsNeighbours by [
        a_clear_keeps_to_its_prefix,
        a_clear_takes_no_name_for_a_pattern,
    ];
    a_value_in_an_error_is_found: ShowsValuesInErrors by [
        no_error_of_a_closed_backend_shows_a_value,
    ];
    a_pretended_operation_is_found: PretendsToTouch by [
        a_touch_of_a_missing_key_says_so,
        a_touch_prolongs_a_life,
    ];
    a_trusted_limit_is_found: TrustsScanLimits by [
        a_scan_takes_any_limit,
    ];
    a_blind_swap_is_found: SwapsBlindly by [
        a_swap_of_another_version_changes_nothing,
        of_swaps_at_once_one_is_stored,
    ];
    a_swap_over_a_removal_is_found: SwapsOverRemovals by [
        a_swap_older_than_a_removal_is_fenced,
    ];
    a_swap_to_an_older_version_is_found: SwapsToOlder by [
        a_swap_to_an_older_version_is_fenced,
    ];
    a_swap_that_hides_what_stands_is_found: SaysNothingStands by [
        a_swap_of_another_version_changes_nothing,
        a_swap_that_expects_nothing_spares_a_value,
    ];
    a_removal_that_forgets_the_version_of_the_value_is_found: RemovalsForgetVersions by [
        a_removal_older_than_the_value_removes_it_and_leaves_its_fence,
        a_batch_of_older_removals_leaves_the_fences_of_the_values,
    ];
    an_older_value_left_by_a_refusal_is_found: KeepsWhatIsOlder by [
        a_refused_value_leaves_nothing_older,
        a_refused_value_fences_what_is_older,
        a_value_that_is_too_large_and_older_is_fenced,
    ];
    a_refusal_that_fences_nothing_is_found: FencesNothingItRefused by [
        a_refused_value_fences_what_is_older,
        a_refused_value_of_a_missing_key_fences_too,
    ];
    a_refusal_of_what_is_older_is_found: RefusesBeforeItCompares by [
        a_value_that_is_too_large_and_older_is_fenced,
    ];
    a_restart_that_forgets_is_found: ForgetsWhenReopened by [
        fences_survive_a_reopen,
        values_survive_a_reopen,
        several_reopens_lose_nothing,
    ];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_report_names_case_reason_and_seed() {
    let text = report(Fault::TrustsScanLimits).await.to_string();
    assert!(text.contains("backend conformance of broken"), "{text}");
    assert!(text.contains("a_scan_takes_any_limit: panicked: capacity overflow"), "{text}");
    assert!(text.contains("replay with CE_SEED="), "{text}");
}

/// Right after the put a life of a millisecond may still be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_that_ends_unclaimed_is_found_on_a_real_clock() {
    let (name, clock) = ("a_zero_ttl_is_a_miss_at_once", Clock::system());
    let ticking = clock.clone();
    let ticker = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(1));
        loop {
            beat.tick().await;
            ticking.tick();
        }
    });
    let report = backend::run_case(name, || async {
        Fixture::new(Arc::new(Broken { model: model(&clock), fault: Fault::EndsLivesUnclaimed }))
    })
    .await;
    ticker.abort();
    assert_eq!(report.failed(), [name], "{report}");
}

#[tokio::test]
async fn a_durable_backend_that_cannot_be_reopened_is_told() {
    let name = "values_survive_a_reopen";
    let report = backend::run_case(name, || async {
        Fixture::new(Arc::new(ModelBackend::new(Clock::manual())))
    })
    .await;
    assert_eq!(report.failed(), [name]);
    assert!(report.to_string().contains("cannot reopen it"), "{report}");
}
