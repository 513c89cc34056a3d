//! The backend of one case, with short words for what cases do to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, ErrorKind, KeyPrefix, KeySpace, OpContext, Put, PutOutcome, Sequence,
    StoredKey, ms, secs,
};
use rand::rngs::StdRng;

use super::Fixture;
use crate::Seed;
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

/// How much longer than its life an entry may be read on a real clock before a case gives up.
const GRACE: Duration = secs(20);

/// How long an entry of 1 ms is looked at on a real clock where no life is claimed to end.
const UNCLAIMED: Duration = ms(40);

/// A capability that a case is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    Expiry,
    Fence,
    Touch,
    Swap,
    Scan,
    ClearPrefix,
    Durable,
    ValueLimit,
    /// Some values are too large, whether the limit is claimed or told by the fixture.
    Refusal,
}

impl Need {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Fence => "fence",
            Self::Touch => "touch",
            Self::Swap => "swap",
            Self::Scan => "scan",
            Self::ClearPrefix => "clear_prefix",
            Self::Durable => "durable",
            Self::ValueLimit | Self::Refusal => "value_bytes_max",
        }
    }

    pub(super) fn is_claimed(self, subject: &Subject) -> bool {
        let claimed = subject.capabilities();
        match self {
            Self::Expiry => claimed.expiry,
            Self::Fence => claimed.fence,
            Self::Touch => claimed.touch,
            Self::Swap => claimed.swap,
            Self::Scan => claimed.scan,
            Self::ClearPrefix => claimed.clear_prefix,
            Self::Durable => claimed.durable,
            Self::ValueLimit => claimed.value_bytes_max.is_some(),
            Self::Refusal => subject.too_large().is_some(),
        }
    }

    /// Checks what a backend without this capability does instead.
    pub(super) async fn check_refusal(self, subject: &Subject) -> Verdict {
        let key = subject.key("unclaimed")?;
        let prefix = subject.prefix();
        let backend = subject.backend();
        let refused = match self {
            Self::Expiry => return keeps_beyond_its_ttl(subject, &key).await,
            Self::Fence => return ignores_versions(subject, &key).await,
            Self::ValueLimit | Self::Refusal => return takes_large_values(subject, &key).await,
            Self::Durable => {
                let can_reopen = subject.fixture.reopen.is_some();
                ensure!(!can_reopen, "the fixture can reopen a backend that is not durable");
                return Ok(());
            }
            Self::Touch => backend.touch(&key, secs(1), &subject.ctx).await.err(),
            Self::Swap => {
                let (how, ctx) = (Put::default(), &subject.ctx);
                backend.swap(&key, "Ada".into(), how, Sequence::ZERO, ctx).await.err()
            }
            Self::Scan => backend.scan(&prefix, None, 10).await.err(),
            Self::ClearPrefix => backend.clear_prefix(&prefix).await.err(),
        };
        let kind = refused.map(|error| error.kind());
        ensure_eq!(kind, Some(ErrorKind::Unsupported), "{} is not claimed", self.name());
        Ok(())
    }
}

async fn keeps_beyond_its_ttl(subject: &Subject, key: &StoredKey) -> Verdict {
    subject.put_for(key, "kept", ms(1)).await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(secs(3_600));
        return subject.expect(key, "kept").await;
    }
    let deadline = Instant::now() + UNCLAIMED;
    loop {
        subject.expect(key, "kept").await?;
        if Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(ms(1)).await;
    }
}

async fn ignores_versions(subject: &Subject, key: &StoredKey) -> Verdict {
    subject.put_at(key, "newer", 9).await?;
    let outcome = subject.put_at(key, "older", 3).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put without a fence");
    subject.expect(key, "older").await
}

async fn takes_large_values(subject: &Subject, key: &StoredKey) -> Verdict {
    let large = super::values::whole(1, 4 << 20);
    subject.put(key, large.clone()).await?;
    ensure!(subject.get(key).await? == Some(large), "a value of 4 MiB came back changed");
    Ok(())
}

/// The backend of one case and the words to talk to it. Cloning shares the backend.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) fixture: Arc<Fixture>,
    pub(super) space: KeySpace,
    pub(super) ctx: OpContext,
    seed: Seed,
}

impl Subject {
    pub(super) fn new(fixture: Fixture, seed: Seed) -> Self {
        let space = KeySpace::new("suite", "acme", "users").expect("the names are short");
        Self { fixture: Arc::new(fixture), space, ctx: OpContext::default(), seed }
    }

    pub(super) fn name(&self) -> String {
        self.fixture.backend.name().to_owned()
    }

    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.fixture.backend)
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.fixture.backend.capabilities()
    }

    /// Bytes of a value that the backend refuses; `None` when it is not known to refuse any.
    pub(super) fn too_large(&self) -> Option<usize> {
        let over = self.capabilities().value_bytes_max.map(|limit| limit + 1);
        over.or(self.fixture.too_large)
    }

    pub(super) fn rng(&self) -> StdRng {
        self.seed.rng()
    }

    pub(super) fn key(&self, key: &str) -> Result<StoredKey, Failure> {
        Ok(self.space.key(&key.to_owned())?)
    }

    pub(super) fn keys(&self, count: usize) -> Result<Vec<StoredKey>, Failure> {
        (0..count).map(|number| self.key(&format!("key-{number}"))).collect()
    }

    pub(super) fn prefix(&self) -> KeyPrefix {
        self.space.prefix()
    }

    pub(super) async fn get(&self, key: &StoredKey) -> Result<Option<Bytes>, Failure> {
        Ok(self.fixture.backend.get(key, &self.ctx).await?)
    }

    /// Puts and expects it stored.
    pub(super) async fn put(&self, key: &StoredKey, value: impl Into<Bytes>) -> Verdict {
        self.put_as(key, value, Put::default()).await
    }

    /// Puts with a life and expects it stored.
    pub(super) async fn put_for(
        &self,
        key: &StoredKey,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Verdict {
        self.put_as(key, value, Put { ttl: Some(ttl), ..Put::default() }).await
    }

    pub(super) async fn put_as(
        &self,
        key: &StoredKey,
        value: impl Into<Bytes>,
        how: Put,
    ) -> Verdict {
        let outcome = self.fixture.backend.put(key, value.into(), how, &self.ctx).await?;
        ensure_eq!(outcome, PutOutcome::Stored, "put under {key}");
        Ok(())
    }

    /// Puts at a version, whatever the outcome.
    pub(super) async fn put_at(
        &self,
        key: &StoredKey,
        value: impl Into<Bytes>,
        version: u64,
    ) -> Result<PutOutcome, Failure> {
        let how = Put { version: Sequence(version), ..Put::default() };
        Ok(self.fixture.backend.put(key, value.into(), how, &self.ctx).await?)
    }

    pub(super) async fn remove(&self, key: &StoredKey) -> Result<bool, Failure> {
        self.remove_at(key, 0).await
    }

    pub(super) async fn remove_at(&self, key: &StoredKey, at: u64) -> Result<bool, Failure> {
        Ok(self.fixture.backend.remove(key, Sequence(at), &self.ctx).await?)
    }

    pub(super) async fn touch(&self, key: &StoredKey, ttl: Duration) -> Result<bool, Failure> {
        Ok(self.fixture.backend.touch(key, ttl, &self.ctx).await?)
    }

    pub(super) async fn get_many(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>, Failure> {
        Ok(self.fixture.backend.get_many(keys, &self.ctx).await?)
    }

    /// Expects exactly this value under the key.
    pub(super) async fn expect(&self, key: &StoredKey, value: impl Into<Bytes>) -> Verdict {
        ensure_eq!(self.get(key).await?, Some(value.into()), "value under {key}");
        Ok(())
    }

    /// Expects a miss.
    pub(super) async fn expect_miss(&self, key: &StoredKey) -> Verdict {
        ensure_eq!(self.get(key).await?, None::<Bytes>, "value under {key}");
        Ok(())
    }

    /// A life that cases can wait for: 1 s by hand, 40 ms on a real clock.
    pub(super) fn short(&self) -> Duration {
        if self.fixture.clock.is_some() { secs(1) } else { ms(40) }
    }

    /// Lets `life` pass. By hand the clock jumps. On a real clock an entry with that life is put,
    /// and the wait ends when it is gone: what was put before it with the same life is gone too.
    pub(super) async fn pass(&self, life: Duration) -> Verdict {
        if let Some(clock) = &self.fixture.clock {
            clock.advance(life);
            return Ok(());
        }
        let sentinel = self.key("sentinel of a life that passes")?;
        self.put_for(&sentinel, "waiting", life).await?;
        self.expect_end(&sentinel, life).await
    }

    /// Expects the entry to end by itself, at the latest [`GRACE`] after `life`.
    pub(super) async fn expect_end(&self, key: &StoredKey, life: Duration) -> Verdict {
        let deadline = Instant::now() + life + GRACE;
        while self.get(key).await?.is_some() {
            ensure!(Instant::now() < deadline, "{key} outlived its {life:?} by {GRACE:?}");
            tokio::time::sleep(ms(1)).await;
        }
        Ok(())
    }

    /// Closes the backend and opens the same entries again.
    pub(super) async fn reopen(self) -> Result<Self, Failure> {
        let Some(reopen) = self.fixture.reopen.clone() else {
            return Err(Failure(String::from(
                "the backend claims to be durable and the fixture cannot reopen it",
            )));
        };
        self.fixture.backend.close().await?;
        let (clock, kept) = (self.fixture.clock.clone(), self.fixture.kept.clone());
        let too_large = self.fixture.too_large;
        let Self { fixture, space, ctx, seed } = self;
        drop(fixture);
        let backend = reopen().await;
        let fixture = Arc::new(Fixture { backend, clock, reopen: Some(reopen), too_large, kept });
        Ok(Self { fixture, space, ctx, seed })
    }
}
