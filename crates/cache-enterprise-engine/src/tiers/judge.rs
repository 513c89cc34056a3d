//! Whether bytes that a level gave may be believed, and how fresh they are.

use bytes::Bytes;
use cache_enterprise_core::{CacheKey, Error, Event, Freshness, Result, mutant};

use super::gate::Pass;
use super::pipeline::{Opened, format_of};
use super::stack::Stack;
use crate::cache::Cache;
use crate::path::{name_of, text_of_name};

/// What one level gave.
pub(super) enum Found<V> {
    Fresh(Opened<V>, Bytes),
    Stale(Opened<V>, Bytes),
    Nothing,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Opens bytes and judges them: readable, believed, valid, and how fresh.
    pub(super) fn judge(&self, stack: &Stack, index: usize, pass: &Pass, bytes: Bytes) -> Found<V> {
        // What cannot be used was counted, and is a miss.
        self.judge_strictly(stack, index, pass, bytes).unwrap_or(Found::Nothing)
    }

    /// As [`judge`](Self::judge), with the reason why bytes cannot be used.
    pub(super) fn judge_strictly(
        &self,
        stack: &Stack,
        index: usize,
        pass: &Pass,
        bytes: Bytes,
    ) -> Result<Found<V>> {
        let level = &stack.levels[index];
        let (opened, standing) = self.weigh(stack, &level.name, pass, &bytes)?;
        let version = opened.plan.version;
        let is_admitted =
            self.is_placed(stack, pass, level.is_shared()) && stack.admits(index, pass, version);
        Ok(match standing {
            Freshness::Fresh if is_admitted => {
                level.counts.hits.add(1);
                Found::Fresh(opened, bytes)
            }
            Freshness::Stale if is_admitted => {
                level.counts.misses.add(1);
                Found::Stale(opened, bytes)
            }
            _ => {
                level.counts.misses.add(1);
                Found::Nothing
            }
        })
    }

    /// Whether all that this process ended of a key has its place among what a level holds of it.
    /// What it ends while its store gives no number may have one that is lower than those of older
    /// values. So nothing is believed while that is under way, asked before the levels are, which
    /// owe the key then; nor, of what others write, while a group has no number, asked after the
    /// version of the bytes was observed: a group that ends later takes one above it.
    pub(super) fn is_placed(&self, stack: &Stack, pass: &Pass, is_shared: bool) -> bool {
        let tenant = &self.view.tenant;
        let is_under_way = tenant.epochs.sequence().is_provisional(pass.own())
            && !mutant::breaks("nothing is believed beside a write without a number");
        let is_hidden = is_shared && stack.owes_groups(tenant);
        !(is_under_way || is_hidden)
    }

    /// Opens bytes and says how fresh they are; expired where they were ended.
    pub(super) fn weigh(
        &self,
        stack: &Stack,
        origin: &str,
        pass: &Pass,
        bytes: &Bytes,
    ) -> Result<(Opened<V>, Freshness)> {
        let mut opened = stack
            .pipeline
            .open(pass.key(), bytes, &format_of(&self.view.core))
            .inspect_err(|error| self.undecodable(origin, error))?;
        let epochs = &self.view.tenant.epochs;
        // Written before its spec kept paths, or where a dependency was not known, it lacks some.
        self.label(name_of(pass.key()), &mut opened.plan.tags);
        let tags = epochs.tag_cells(opened.plan.tags.iter().cloned());
        let (version, text) = (opened.plan.version, || text_of_name(name_of(pass.key())));
        let now = self.view.clock.now();
        if !epochs.is_valid(version, &self.view.cell, &tags, text) || now >= opened.plan.expires {
            return Ok((opened, Freshness::Expired));
        }
        if stack.shared_epochs().is_some() && !mutant::breaks("a number that was read is known") {
            // What another process was given may be above all that is known here. A number that
            // this process takes by itself, when the store gives none, must end this value too.
            epochs.sequence().observe(version);
        }
        let is_softly_ended = !mutant::breaks("a soft end is seen in a tier")
            && epochs.is_ended(version, &self.view.cell, &tags, text);
        let is_over = now >= opened.plan.fresh_until || pass.has_ended(version) || is_softly_ended;
        Ok((opened, if is_over { Freshness::Stale } else { Freshness::Fresh }))
    }

    fn undecodable(&self, tier: &str, error: &Error) {
        self.view.core.counts.undecodable.add(1);
        let event = Event::Undecodable {
            cache: self.name().to_owned(),
            tier: tier.to_owned(),
            kind: error.kind(),
        };
        tracing::debug!(cache = self.name(), tier, error = %error, "stored bytes are unusable");
        self.view.shared.event(&event);
    }
}
