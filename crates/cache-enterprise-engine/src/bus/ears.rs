//! What this process hears.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cache_enterprise_core::coherence::{
    Belief, Bus, Change, EpochTarget, Frame, Heard, Listener, Notice, Touched,
};
use cache_enterprise_core::{Sequence, mutant, saturating_millis, unescaped};

use super::Broadcast;
use super::taken::Extension;
use crate::heed::Ending;
use crate::shared::{Shared, TenantState};
use crate::tiers::Pass;

/// Between attempts to listen at first; a listener reconnects by itself later.
const RETRY: Duration = Duration::from_millis(250);

/// Hears for as long as the manager lives.
pub(super) async fn listen(shared: Weak<Shared>, bus: Arc<dyn Bus>) {
    loop {
        let Some(manager) = shared.upgrade().map(|shared| shared.name.clone()) else { return };
        match bus.listen(&manager).await {
            Ok(listener) => {
                // What was told before cannot be heard any more.
                if let Some(shared) = shared.upgrade() {
                    shared.verify_level1();
                }
                return hear_all(shared, listener).await;
            }
            Err(error) => {
                tracing::warn!(bus = bus.name(), error = %error, "the bus cannot be heard");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn hear_all(shared: Weak<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        let heard = listener.next().await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(broadcast) = &shared.broadcast else { return };
        match heard {
            Heard::Frame(frame) => shared.hear(broadcast, &frame, &[]).await,
            Heard::Pushed { frame, values } => shared.hear(broadcast, &frame, &values).await,
            Heard::Current { age } => {
                let now = shared.clock.now();
                let at = now.saturating_sub(saturating_millis(age));
                broadcast.hearing.lock().heard_at(at);
            }
            Heard::Touched(keys) => shared.heed_touched(broadcast, keys).await,
            Heard::Lost => shared.lost_frames(broadcast),
        }
    }
}

impl Shared {
    /// What silence of the bus means for level 1, once in each turn of the ticker.
    pub(crate) fn weigh_silence(&self, broadcast: &Broadcast, now: cache_enterprise_core::Millis) {
        let Some(belief) = broadcast.turn(now) else { return };
        for tenant in self.tenants.lock().values() {
            match belief {
                Belief::Doubt => tenant.epochs.doubt(),
                Belief::Trust => tenant.epochs.trust(),
            }
        }
    }

    fn lost_frames(&self, broadcast: &Broadcast) {
        broadcast.counts.lost.fetch_add(1, Ordering::Relaxed);
        if !mutant::breaks("lost frames are verified") {
            self.verify_level1();
        }
    }

    /// Every copy in level 1, and in tiers of this process alone, is looked up below at its next
    /// read.
    fn verify_level1(&self) {
        let tenants: Vec<_> = self.tenants.lock().values().cloned().collect();
        for tenant in &tenants {
            tenant.epochs.verify_all();
        }
        let above = self.above_all();
        if let Some(stack) = &self.stack {
            stack.distrust_private(above);
        }
    }

    /// A number above all that is known here, of whatever tenant.
    fn above_all(&self) -> Sequence {
        Sequence(self.newest_of_all().0.saturating_add(1))
    }

    async fn hear(self: &Arc<Self>, broadcast: &Broadcast, frame: &[u8], values: &[u8]) {
        match Frame::decode(frame) {
            Ok(mut frame) => {
                frame.give_values(values);
                self.heed_frame(broadcast, frame).await;
            }
            Err(error) => {
                tracing::warn!(error = %error, "a frame is taken for a lost one");
                self.lost_frames(broadcast);
            }
        }
    }

    async fn heed_frame(self: &Arc<Self>, broadcast: &Broadcast, frame: Frame) {
        if frame.source == broadcast.source && !mutant::breaks("own frames are ignored") {
            broadcast.counts.ignored.fetch_add(1, Ordering::Relaxed);
            return;
        }
        broadcast.counts.heard.fetch_add(frame.notices.len() as u64, Ordering::Relaxed);
        let mut keys = Vec::new();
        for notice in &frame.notices {
            keys.extend(self.heed(broadcast, notice));
        }
        self.retell(&frame.notices);
        // Level 1 first, of the whole frame; then the tiers that no other process writes.
        if let Some(stack) = &self.stack {
            stack.heed_private(keys).await;
        }
    }

    /// Lets one notice hold, and gives the key that private tiers must let go of, with its gate
    /// closed: what they still hold must not climb behind the copy in level 1 that ends here.
    fn heed(self: &Arc<Self>, broadcast: &Broadcast, notice: &Notice) -> Option<(Pass, Sequence)> {
        if let Change::Raised(EpochTarget::Everything) = notice.change {
            self.heed_everything(notice.at);
            return None;
        }
        let tenant = self.tenants.lock().get(&notice.tenant).cloned();
        let (key, ending, value) = match &notice.change {
            Change::Raised(target) => {
                // A tenant that is met later reads the record.
                if let Some(tenant) = tenant
                    && !mutant::breaks("a heard epoch is raised")
                {
                    let at = placed(&tenant, notice.at);
                    tenant.epochs.raise(target, at);
                }
                return None;
            }
            Change::Key { key, value } => (key, Ending::Hard, value.as_ref()),
            Change::Expired { key } => (key, Ending::Soft, None),
            _ => {
                if let Some(tenant) = tenant {
                    self.heed_life(broadcast, &tenant, notice);
                }
                return None;
            }
        };
        let at = match &tenant {
            Some(tenant) => placed(tenant, notice.at),
            // A fence that private tiers keep: it must not be above what is written there later.
            None if notice.at == Sequence::MAX => self.above_all(),
            None => notice.at,
        };
        let gate = self.stack.as_ref().map(|stack| {
            let is_open = mutant::breaks("a heard key closes its gate");
            stack.gates.heed(key, if is_open { Sequence::ZERO } else { at })
        });
        if let Some(tenant) = tenant {
            if let Some(cache) = broadcast.cache(key.cache()) {
                match (value, &gate) {
                    // Of a number whose place is not known here, nothing is taken.
                    (Some(value), Some(pass)) if at == notice.at => {
                        let adopted = cache.taking.adopt(self, &tenant, pass, value, at);
                        broadcast.note_adopted(adopted);
                    }
                    _ => cache.periodic.heed(&tenant, key, at, ending),
                }
            }
            if notice.at != Sequence::MAX {
                tenant.epochs.sequence().observe(notice.at);
            }
        }
        gate.map(|gate| (gate, at))
    }

    /// Lets a copy live on that the origin confirmed to another process.
    fn heed_life(
        self: &Arc<Self>,
        broadcast: &Broadcast,
        tenant: &Arc<TenantState>,
        notice: &Notice,
    ) {
        let Change::Extended { key, etag, from_wall_ms, until_wall_ms, expires_wall_ms } =
            &notice.change
        else {
            return;
        };
        let has_place =
            notice.at != Sequence::MAX && !tenant.epochs.sequence().is_provisional(notice.at);
        if let Some(cache) = broadcast.cache(key.cache()).filter(|_| has_place) {
            let extension = Extension {
                at: notice.at,
                etag,
                from_wall_ms: *from_wall_ms,
                until_wall_ms: *until_wall_ms,
                expires_wall_ms: *expires_wall_ms,
            };
            // The copy gets this number: what this process ends by numbers of its own is above it.
            tenant.epochs.sequence().observe(notice.at);
            broadcast.note_extended(cache.taking.extend(self, tenant, key, extension));
        }
    }

    /// Lets go of copies of keys that somebody changed below. What stands there tells by its
    /// version which copies are older: what this process wrote itself ends none of its own. Where
    /// nothing stands, or nothing of ours, whatever was copied or is being loaded ends. No number
    /// is taken: nothing is fenced, since who does not tell has no place among those who do.
    async fn heed_touched(&self, broadcast: &Broadcast, keys: Vec<Touched>) {
        broadcast.counts.touched.fetch_add(keys.len() as u64, Ordering::Relaxed);
        if mutant::breaks("a key that a stranger changed leaves level 1") {
            return;
        }
        let mut gone = Vec::new();
        for Touched { key, version } in keys {
            let tenant = self.tenants.lock().get(&*unescaped(key.tenant())).cloned();
            if let (Some(tenant), Some(cache)) = (&tenant, broadcast.cache(key.cache())) {
                cache.periodic.heed(tenant, &key, version.unwrap_or(Sequence::MAX), Ending::Hard);
            }
            if let (None, Some(stack)) = (version, &self.stack) {
                let newest = tenant.map(|tenant| tenant.epochs.sequence().newest());
                gone.push((stack.gates.enter(&key), newest.unwrap_or_default()));
            }
        }
        if let Some(stack) = &self.stack {
            stack.heed_private(gone).await;
        }
    }

    fn heed_everything(&self, at: Sequence) {
        if at != Sequence::MAX {
            return self.raise_everything(at);
        }
        for tenant in self.tenants.lock().values() {
            tenant.epochs.raise(&EpochTarget::Everything, placed(tenant, at));
        }
    }
}

/// Where a number of another process stands among this one's. One that its store did not give is
/// above all that was loaded here so far; as an epoch it would end all that ever will be.
fn placed(tenant: &TenantState, at: Sequence) -> Sequence {
    let sequence = tenant.epochs.sequence();
    if at == Sequence::MAX { sequence.take_provisional() } else { sequence.placed(at) }
}
