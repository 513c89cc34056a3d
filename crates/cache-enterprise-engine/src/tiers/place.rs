//! Placing a value: from one level downward it is put, above that what is older is dropped.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{CacheKey, CacheLevel, Error, Merit, Result, SetOutcome};

use super::below::SetBelow;
use super::stack::{Job, Stack, Taken};
use crate::cache::Cache;
use crate::options::Options;
use crate::placement::{Placed, overtaken};
use crate::shared::TenantState;
use crate::write::{How, Labels};

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The last level there is.
    pub(crate) fn deepest(&self) -> CacheLevel {
        let levels = self.stack().map_or(0, |stack| stack.levels.len());
        let number = u8::try_from(levels + 1).unwrap_or(u8::MAX);
        CacheLevel::numbered(number).unwrap_or(CacheLevel::L1)
    }

    /// Writes a value from `placed.highest` downward and notes who took it.
    pub(crate) async fn place_from(
        &self,
        key: K,
        value: V,
        labels: Labels,
        (options, merit): (&Options, Merit),
        placed: &mut Placed,
    ) -> Result<()> {
        let is_hot = placed.highest == CacheLevel::L1;
        let stored = self.view.space.key(&key)?;
        let number = self.number_below().await;
        let how = How { options, number: &number, merit };
        let mut write = None;
        let outcome = self.place_level1(key, value, labels, how, is_hot, |value, plan| {
            let (made, plain_len) = self.seal_set(self.stack()?, &stored, value, plan, how.number);
            write = Some(made);
            plain_len
        });
        if outcome == SetOutcome::Fenced {
            return Err(overtaken());
        }
        let is_off = self.view.l1_life(options) == Some(Duration::ZERO);
        if is_hot && outcome == SetOutcome::Stored && !is_off {
            placed.levels.push(CacheLevel::L1);
        }
        let (Some(stack), Some(write)) = (self.stack(), write) else { return Ok(()) };
        let tenant = &self.view.tenant;
        match write {
            SetBelow::Put(job) => {
                let top = usize::from(placed.highest.number()).saturating_sub(2);
                let (took, failure) = stack.place(tenant, job, top).await;
                placed.levels.extend(took);
                placed.failure = failure;
                Ok(())
            }
            SetBelow::Drop(pass, at, error) => {
                stack.remove_elders(tenant, pass, at).await?;
                Err(error)
            }
        }
    }
}

impl Stack {
    /// Puts a job into the levels from the index `top` downward and drops what is older above,
    /// deepest first. Answers the levels that took it and the first error. Survives its caller.
    async fn place(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        mut job: Job,
        top: usize,
    ) -> (Vec<CacheLevel>, Option<Error>) {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            let reserved = stack.reserve_for(&tenant, std::iter::once(&mut job)).await;
            let job = Arc::new(job);
            let (mut took, mut failure) = (Vec::new(), reserved.err());
            for index in (0..stack.levels.len()).rev() {
                let done = if index < top {
                    stack.drop_older(index, &job).await.map(|()| Taken::Passed)
                } else {
                    stack.store_in(index, &job).await
                };
                match done {
                    Ok(Taken::Kept) => {
                        took.extend(CacheLevel::numbered(stack.levels[index].number));
                    }
                    Ok(Taken::Passed | Taken::Refused) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            let told = stack.tell_stored(&tenant, std::iter::once(&*job)).await;
            (took, failure.or(told.err()))
        });
        let ended = |_| {
            let kind = cache_enterprise_core::ErrorKind::Closed;
            let text = "the runtime ended before the tiers answered";
            (Vec::new(), Some(Error::new(kind, text)))
        };
        task.await.unwrap_or_else(ended)
    }
}
