//! The suite of leases passes what is sound and finds what is planted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken, Sequence};
use cache_enterprise_core::{
    Backend, Capabilities, OpContext, Put, PutOutcome, Result, StoredKey, hours,
};
use cache_enterprise_testkit::coherence::SharedLeases;
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::lease::{self, Fixture};
use cache_enterprise_testkit::{Clock, ModelBackend};
use parking_lot::Mutex;

const VALUE_BYTES_MAX: usize = 1 << 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// A put looks at no token.
    WritesForAnybody,
    /// A put looks at the token and at no version.
    IgnoresVersions,
    /// A held lease is given again, with its token.
    GivesTwice,
    /// Lives are not kept to.
    NeverEnds,
    /// A release ends the lease whatever the token.
    ReleasesForAnybody,
    /// A lease ends when its holder has written.
    EndsWithTheFirstPut,
    /// What is too large is refused before anything is looked at, and what is older stays.
    RefusesWithoutALook,
    /// What is too large is refused, and takes away what stands, whoever writes it.
    RefusesForAnybody,
    /// Tokens begin anew after a minute.
    ForgetsTokens,
    /// A renewal says yes to everybody.
    RenewsForAnybody,
}

#[derive(Debug)]
struct Broken {
    leases: SharedLeases,
    backend: Arc<ModelBackend>,
    newest: Mutex<HashMap<StoredKey, LeaseToken>>,
    clock: Clock,
    fault: Fault,
}

#[async_trait]
impl Lease for Broken {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        let life = if self.fault == Fault::NeverEnds { hours(1_000) } else { life };
        let acquired = self.leases.acquire(key, life).await?;
        if let Acquired::Held(token) = acquired {
            if self.fault == Fault::ForgetsTokens && self.clock.now() > 60_000 {
                return Ok(Acquired::Held(LeaseToken(1)));
            }
            self.newest.lock().insert(key.clone(), token);
        } else if self.fault == Fault::GivesTwice {
            return Ok(Acquired::Held(self.newest.lock()[key]));
        }
        Ok(acquired)
    }

    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool> {
        let renewed = self.leases.renew(key, token, life).await?;
        Ok(renewed || self.fault == Fault::RenewsForAnybody)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        mut how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome> {
        match self.fault {
            Fault::WritesForAnybody => {
                return self.backend.put(key, value, how, &OpContext::default()).await;
            }
            Fault::IgnoresVersions => how.version = Sequence(u64::MAX),
            Fault::RefusesWithoutALook if value.len() > VALUE_BYTES_MAX => {
                return Ok(PutOutcome::Refused);
            }
            Fault::RefusesForAnybody if value.len() > VALUE_BYTES_MAX => {
                self.backend.remove(key, how.version, &OpContext::default()).await?;
                return Ok(PutOutcome::Refused);
            }
            _ => {}
        }
        let outcome = self.leases.put(key, value, how, token).await?;
        if self.fault == Fault::EndsWithTheFirstPut {
            self.leases.release(key, token).await?;
        }
        Ok(outcome)
    }

    async fn release(&self, key: &StoredKey, mut token: LeaseToken) -> Result<()> {
        if self.fault == Fault::ReleasesForAnybody {
            token = self.newest.lock().get(key).copied().unwrap_or(token);
        }
        self.leases.release(key, token).await
    }
}

async fn report(fault: Fault) -> Report {
    lease::run(|| async {
        let clock = Clock::manual();
        let model = ModelBackend::new(clock.clone());
        let limited =
            Capabilities { value_bytes_max: Some(VALUE_BYTES_MAX), ..model.capabilities() };
        let backend = Arc::new(model.claiming(limited));
        let leases = SharedLeases::new(backend.clone(), clock.clone());
        let broken = Arc::new(Broken {
            leases,
            backend: Arc::clone(&backend),
            newest: Mutex::default(),
            clock: clock.clone(),
            fault,
        });
        Fixture::new(backend, broken.clone(), broken).clock(clock)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sound_lease_passes() {
    report(Fault::Nothing).await.assert_passed();
}

macro_rules! found {
    ($($test:ident: $fault:ident by [$($case:ident),+ $(,)?];)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let report = report(Fault::$fault).await;
            $(assert!(report.failed().contains(&stringify!($case)), "{report}");)+
            assert!(report.failed().len() < 25, "{report}");
            println!("lease conformance finds {:?}", Fault::$fault);
        }
    )*};
}

found! {
    a_put_without_a_look_at_the_token_is_found: WritesForAnybody by [
        a_paused_holder_is_refused,
        a_paused_holder_is_refused_before_the_next_has_written,
        a_paused_holder_is_refused_after_a_removal,
        late_holders_never_win_a_race,
    ];
    a_put_without_a_look_at_the_version_is_found: IgnoresVersions by [
        a_holder_keeps_to_newer_removals,
        a_holder_keeps_to_newer_values,
    ];
    a_lease_given_twice_is_found: GivesTwice by [
        a_held_lease_is_busy_for_everybody,
        of_many_at_once_one_gets_the_lease,
    ];
    a_lease_without_an_end_is_found: NeverEnds by [
        a_lease_ends_after_its_life,
    ];
    a_release_by_anybody_is_found: ReleasesForAnybody by [
        a_release_with_another_token_does_nothing,
        a_released_lease_is_free,
    ];
    a_lease_that_ends_with_a_put_is_found: EndsWithTheFirstPut by [
        a_put_ends_no_lease,
    ];
    a_token_that_begins_anew_is_found: ForgetsTokens by [
        tokens_rise_ten_minutes_after_a_lease_and_as_long_as_it_lived,
    ];
    a_refusal_without_a_look_is_found: RefusesWithoutALook by [
        a_refused_value_of_a_holder_leaves_nothing_older,
        a_refused_value_of_a_holder_fences_what_is_older,
        a_holders_value_that_is_too_large_and_older_is_fenced,
        a_paused_holder_is_refused_a_value_that_is_too_large,
        a_batch_of_values_too_large_is_judged_key_by_key,
    ];
    a_refusal_by_anybody_is_found: RefusesForAnybody by [
        a_holders_value_that_is_too_large_and_older_is_fenced,
        a_paused_holder_is_refused_a_value_that_is_too_large,
        a_batch_of_values_too_large_is_judged_key_by_key,
    ];
    a_renewal_of_a_lost_lease_is_found: RenewsForAnybody by [
        a_lost_lease_is_not_renewed,
    ];
}
