//! The level walk of a build without tiers: nothing is below level 1.

use std::sync::Arc;

use std::time::Duration;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Error, Lookup, Merit, Millis, Result, Sequence, SetOutcome,
    unsupported,
};

use crate::access::Access;
use crate::batch::Item;
use crate::batch_load::Claim;
use crate::cache::Cache;
use crate::explain::LevelView;
use crate::flight::Lead;
use crate::if_version::IfVersion;
use crate::manager::ShutdownReport;
use crate::options::Options;
use crate::placement::{Placed, overtaken};
use crate::read::{Below, Call, Stale};
use crate::set::SetNow;
use crate::shared::{Shared, TenantState};
use crate::sweep::{SweepReport, Walk};
use crate::turn::{Keeper, Turn, Turns};
use crate::write::{How, Labels, Plan};

/// A removal announced to the tiers: there are none.
pub(crate) struct Fence;

/// A number for what ends or replaces an entry: the process takes it by itself.
pub(crate) struct Number;

impl Number {
    pub(crate) const OWN: Self = Self;

    pub(crate) fn taken(&self) -> Option<Sequence> {
        None
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        None
    }
}

/// What a tier says of an older value: there is none.
#[derive(Debug)]
pub(crate) enum Hold {}

impl Hold {
    pub(crate) fn admits(&self, _: Sequence) -> bool {
        match *self {}
    }
}

/// The right to load a key among processes: they share no tier.
#[derive(Debug)]
pub(crate) enum Held {}

/// The right to load some keys among processes: they share no tier.
#[derive(Debug)]
pub(crate) enum HeldMany {}

/// A value sealed for the tiers: there is none.
pub(crate) enum Sealed {}

impl Sealed {
    pub(crate) fn plain_len(&self) -> usize {
        match *self {}
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    pub(crate) async fn prepare_below(&self) {}

    pub(crate) async fn number_below(&self) -> Number {
        Number
    }

    pub(crate) async fn read_below<'a, Q: Lookup<K> + ?Sized>(
        &'a self,
        _: &Q,
        lead: Lead<'a, K, V>,
        _: &Call,
    ) -> Below<'a, K, V> {
        Below::Unanswered(lead, None)
    }

    pub(crate) fn seal<Q: Lookup<K> + ?Sized>(
        &self,
        _: &Q,
        _: &V,
        _: &Plan,
        _: Millis,
    ) -> Option<Sealed> {
        None
    }

    pub(crate) async fn fill_below(&self, sealed: Sealed, _: Access, _: Option<Held>) {
        match sealed {}
    }

    pub(crate) fn seal_renewed<Q: Lookup<K> + ?Sized>(
        &self,
        _: &Q,
        _: &Stale<V>,
        _: &Plan,
        _: Millis,
    ) -> Option<Sealed> {
        None
    }

    pub(crate) async fn drop_below<Q: Lookup<K> + ?Sized>(&self, _: &Q, _: Sequence) {}

    pub(crate) async fn drop_below_many(&self, _: Vec<(Sequence, K)>) {}

    pub(crate) fn asks_for_turn(&self, _: &Call) -> bool {
        false
    }

    pub(crate) async fn take_turn<'a, Q: Lookup<K> + ?Sized>(
        &'a self,
        _: &Q,
        lead: Lead<'a, K, V>,
        stale: Option<Arc<Stale<V>>>,
        _: &Call,
    ) -> Turn<'a, K, V> {
        Turn::Load(lead, stale, None)
    }

    pub(crate) fn keep_turn(&self, held: &Held) -> Keeper {
        match *held {}
    }

    pub(crate) async fn take_turns<'a>(
        &'a self,
        _: &[K],
        claims: Vec<Claim<'a, K, V>>,
        _: &Call,
    ) -> Turns<'a, K, V> {
        Turns::ours(claims)
    }

    pub(crate) fn answer_beside_many<'a>(
        &self,
        _: &[K],
        others: Vec<Claim<'a, K, V>>,
        _: &Call,
        _: impl FnMut(usize, Cached<V>),
    ) -> Vec<Claim<'a, K, V>> {
        others
    }

    pub(crate) async fn pause_for_others(&self, _: &mut [Claim<'_, K, V>], _: &mut Millis) {}

    pub(crate) fn keep_turns(&self, held: &HeldMany) -> Keeper {
        match *held {}
    }

    pub(crate) async fn fill_below_many(&self, _: Vec<Sealed>, _: Option<HeldMany>) {}

    pub(crate) async fn read_below_many<'a, Q: Lookup<K>>(
        &'a self,
        _: &[Q],
        claims: Vec<Claim<'a, K, V>>,
        _: &Call,
        _: impl FnMut(usize, Cached<V>),
    ) -> Result<Vec<Claim<'a, K, V>>> {
        Ok(claims)
    }

    pub(crate) fn fence_below<Q: Lookup<K> + ?Sized>(&self, _: &Q, _: Sequence) -> Fence {
        Fence
    }

    pub(crate) async fn remove_below(&self, _: Fence, _: Sequence) -> Result<bool> {
        Ok(false)
    }

    pub(crate) async fn explain_below(&self, _: &K) -> Vec<LevelView> {
        Vec::new()
    }

    pub(crate) fn check_sweep(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) async fn sweep_below(&self, _: &Walk, _: &mut SweepReport) -> Result<()> {
        Ok(())
    }

    pub(crate) fn owing_levels(&self, _: &K) -> Vec<CacheLevel> {
        Vec::new()
    }

    pub(crate) async fn peek_below(
        &self,
        _: &K,
        _: &mut Lead<'_, K, V>,
    ) -> Result<Option<Cached<V>>> {
        Ok(None)
    }

    pub(crate) async fn replace_below(
        &self,
        _: Option<Sealed>,
        _: Fence,
        _: Sequence,
    ) -> Result<()> {
        Ok(())
    }

    pub(crate) async fn swap_below(
        &self,
        _: K,
        _: V,
        _: Sequence,
        _: (Options, Merit),
    ) -> Result<IfVersion<V>> {
        Err(unsupported("memory", "set_if_version"))
    }

    pub(crate) async fn look_below_many<Q: Lookup<K>>(
        &self,
        _: &[Q],
        _: &[usize],
        _: &mut [Option<Cached<V>>],
    ) -> Result<()> {
        Ok(())
    }

    pub(crate) async fn set_below_many(&self, _: Vec<Item<K, V>>, _: &Options) -> Vec<SetOutcome> {
        Vec::new()
    }

    pub(crate) async fn remove_below_many(&self, _: Vec<(Fence, Sequence)>) -> Result<u64> {
        Ok(0)
    }

    pub(crate) async fn expire_below(&self, _: K, _: Sequence) -> Result<()> {
        Ok(())
    }

    pub(crate) fn deepest(&self) -> CacheLevel {
        CacheLevel::L1
    }

    pub(crate) async fn place_from(
        &self,
        key: K,
        value: V,
        labels: Labels,
        (options, merit): (&Options, Merit),
        placed: &mut Placed,
    ) -> Result<()> {
        let how = How::own(options, merit);
        match self.place_level1(key, value, labels, how, true, |_, _| None) {
            SetOutcome::Fenced => Err(overtaken()),
            SetOutcome::Stored => {
                placed.levels.push(CacheLevel::L1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn set_now(
        &self,
        key: K,
        value: V,
        labels: Labels,
        options: &Options,
        merit: Merit,
    ) -> SetNow<'_> {
        let how = How::own(options, merit);
        let (_, outcome) = self.set_level1(key, value, labels, how, |_, _| None);
        SetNow::Done(outcome)
    }
}

impl Shared {
    pub(crate) async fn wake_below(&self) {}

    pub(crate) async fn tell_raised(
        &self,
        _: &TenantState,
        _: Sequence,
        _: Vec<EpochTarget>,
    ) -> Result<()> {
        Ok(())
    }

    pub(crate) async fn end_below(&self, _: Duration, _: &mut ShutdownReport) {}

    pub(crate) async fn raise_below(
        &self,
        _: &Arc<TenantState>,
        _: &[EpochTarget],
    ) -> Result<Option<Sequence>> {
        Ok(None)
    }
}
