//! One byte budget for all stores of a manager.
//!
//! Every store has a capacity of its own; the budget moves capacity between them so that their
//! sum never passes it, at any moment. A store that evicts is given room that another does not
//! use, at once, and room that another does use, as much as it evicted, until all evict alike for
//! each byte they have. Tenants with a quota are groups: a group is given its part like a member,
//! and divides it among its own.

mod divide;
mod member;

pub use member::{Demand, Group, Member, Membership, Share};

use std::fmt;
use std::sync::{Arc, Weak};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Error, MIB, Result};

use self::divide::{Claim, divide};

/// What one turn takes from stores that use it: at most the budget divided by this, or
/// [`STEP_MAX`]. It is evicted within the turn.
const STEP_DIVISOR: u64 = 16;
const STEP_MAX: u64 = 8 * MIB;

/// Nothing moves before the stores together lost the budget divided by this, or [`PRESSED_MAX`].
const PRESSED_DIVISOR: u64 = 64;
const PRESSED_MAX: u64 = 4 * MIB;

/// A capacity changes only by more than itself divided by this, or [`CHANGE_MAX`]: each change
/// costs the store a round over its shards, and a little of its memory of keys that left.
const CHANGE_DIVISOR: u64 = 256;
const CHANGE_MAX: u64 = MIB / 4;

/// A store that asks for nothing keeps an equal part divided by this, so that it takes entries at
/// once when it is used again.
const LEAST_DIVISOR: u64 = 8;

/// Divides a number of bytes among stores. Cloning shares the budget.
///
/// Create each store with the budget's bytes as its capacity and let it join before anything is
/// inserted: joining gives it its part. The owner calls [`turn`](Self::turn) every 100 ms or so.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Capacity, LocalStore, MIB};
/// use cache_enterprise_memory::{Budget, MemoryStore, Share, StoreConfig};
///
/// let budget = Budget::new(64 * MIB);
/// let open = || Arc::new(MemoryStore::<u64, Vec<u8>>::new(StoreConfig::new(budget.capacity())));
/// let (users, pages) = (open(), open());
/// let _users = budget.join(Share::new("users").floor(8 * MIB), &users)?;
/// let _pages = budget.join(Share::new("pages").ceiling(16 * MIB), &pages)?;
/// assert!(users.stats().capacity + pages.stats().capacity <= 64 * MIB);
/// assert!(users.stats().capacity >= 32 * MIB);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    ledger: Arc<Mutex<Ledger>>,
}

struct Ledger {
    bytes: u64,
    next_id: u64,
    groups: Vec<GroupState>,
    members: Vec<MemberState>,
}

struct GroupState {
    id: u64,
    floor: u64,
    ceiling: u64,
}

struct MemberState {
    id: u64,
    group: Option<u64>,
    share: Share,
    member: Weak<dyn Member>,
    capacity: u64,
    /// What the store told at the last turn.
    last: Demand,
    /// Bytes it lost for want of room since capacity moved last, as far as is known.
    pressed: u64,
    want: u64,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let ledger = Ledger { bytes, next_id: 0, groups: Vec::new(), members: Vec::new() };
        Self { ledger: Arc::new(Mutex::new(ledger)) }
    }

    /// The bytes divided.
    pub fn bytes(&self) -> u64 {
        self.ledger.lock().bytes
    }

    /// The capacity to create a store with that will join.
    pub fn capacity(&self) -> cache_enterprise_core::Capacity {
        cache_enterprise_core::Capacity::bytes(self.bytes())
    }

    /// Capacity given to members now; never above [`bytes`](Self::bytes).
    pub fn given(&self) -> u64 {
        self.ledger.lock().members.iter().map(|member| member.capacity).sum()
    }

    /// Takes a store in and gives it its part at once. It leaves when the membership is dropped:
    /// its capacity is then zero.
    ///
    /// # Errors
    /// When its floor is above its ceiling, or all floors together are above the budget.
    pub fn join<M: Member>(&self, share: Share, member: &Arc<M>) -> Result<Membership> {
        self.join_in(None, share, member)
    }

    /// A group of stores under one floor and one ceiling, such as a tenant with a quota. It ends
    /// when the group and all its memberships are dropped.
    ///
    /// # Errors
    /// When its floor is above its ceiling, or all floors together are above the budget.
    pub fn group(&self, share: Share) -> Result<Group> {
        let mut ledger = self.ledger.lock();
        ledger.check_floors(None, &share)?;
        let id = ledger.take_id();
        ledger.groups.push(GroupState { id, floor: share.floor, ceiling: share.ceiling });
        Ok(Group::new(self.clone(), id))
    }

    /// Moves capacity to the stores that evict. Shrinking stores evict within this call, at most
    /// a sixteenth of the budget and 8 MiB. Returns at once while another thread moves capacity.
    pub fn turn(&self) {
        let Some(mut ledger) = self.ledger.try_lock() else { return };
        ledger.members.retain(|member| member.member.strong_count() > 0);
        ledger.note_pressure();
        if ledger.weigh_demand() && ledger.divide(false) {
            ledger.forget_pressure();
        }
    }

    fn join_in<M: Member>(
        &self,
        group: Option<u64>,
        share: Share,
        member: &Arc<M>,
    ) -> Result<Membership> {
        let mut ledger = self.ledger.lock();
        ledger.check_floors(group, &share)?;
        let id = ledger.take_id();
        // The others want what they have, which is the whole once it is given. Beside a whole, a
        // newcomer that wants the n-th part of it gets one part in n + 1: an equal one.
        let equal = ledger.bytes / (ledger.members.len() as u64).max(1);
        let want = share.start.map_or(equal, |start| start.min(equal));
        ledger.want_what_they_have();
        let last = member.demand();
        let weak = Arc::downgrade(member);
        let member: Weak<dyn Member> = weak;
        let state = MemberState { id, group, share, member, capacity: 0, last, pressed: 0, want };
        ledger.members.push(state);
        ledger.divide(true);
        if let Some(newcomer) = ledger.members.last_mut().filter(|state| state.capacity == 0) {
            // It was created with a capacity, and the floors of others leave it none.
            newcomer.resize(0);
        }
        ledger.forget_pressure();
        Ok(Membership::new(self.clone(), id))
    }

    fn leave(&self, id: u64) {
        let mut ledger = self.ledger.lock();
        let Some(index) = ledger.members.iter().position(|member| member.id == id) else { return };
        let left = ledger.members.swap_remove(index);
        if let Some(member) = left.member.upgrade() {
            member.resize(0);
        }
        ledger.want_what_they_have();
        ledger.divide(true);
        ledger.forget_pressure();
    }

    /// Sets the limits of a group anew and divides by them.
    fn limit_group(&self, id: u64, share: Share) -> Result<()> {
        let mut ledger = self.ledger.lock();
        let Some(index) = ledger.groups.iter().position(|group| group.id == id) else {
            return Ok(());
        };
        let old = ledger.groups.swap_remove(index);
        let in_group = ledger.members.iter().filter(|member| member.group == Some(id));
        let floors: u64 = in_group.map(|member| member.share.floor).sum();
        let checked = match ledger.check_floors(None, &share) {
            Ok(()) if floors > share.ceiling => {
                Err(Error::config("the floors in a group are above its ceiling")
                    .with("share", &share.name)
                    .with("floors", floors)
                    .with("ceiling", share.ceiling))
            }
            checked => checked,
        };
        if let Err(error) = checked {
            ledger.groups.push(old);
            return Err(error);
        }
        ledger.groups.push(GroupState { id, floor: share.floor, ceiling: share.ceiling });
        ledger.want_what_they_have();
        ledger.divide(true);
        ledger.forget_pressure();
        Ok(())
    }

    fn end_group(&self, id: u64) {
        self.ledger.lock().groups.retain(|group| group.id != id);
    }
}

impl Ledger {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Whether a newcomer's floor still fits, in its group and in the whole.
    fn check_floors(&self, group: Option<u64>, share: &Share) -> Result<()> {
        if share.floor > share.ceiling {
            return Err(Error::config("a floor is above its ceiling")
                .with("share", &share.name)
                .with("floor", share.floor)
                .with("ceiling", share.ceiling));
        }
        let in_group = |member: &&MemberState| member.group == group;
        let floors: u64 = self.members.iter().filter(in_group).map(|m| m.share.floor).sum();
        let (floors, limit) = match self.groups.iter().find(|state| Some(state.id) == group) {
            Some(state) => (floors, state.ceiling.min(self.bytes)),
            None => (floors + self.groups.iter().map(|g| g.floor).sum::<u64>(), self.bytes),
        };
        if floors.saturating_add(share.floor) > limit {
            return Err(Error::config("the floors are above what they divide")
                .with("share", &share.name)
                .with("floors", floors.saturating_add(share.floor))
                .with("limit", limit));
        }
        Ok(())
    }

    fn want_what_they_have(&mut self) {
        for member in &mut self.members {
            member.want = member.capacity;
            member.last.pinned = member.demand().pinned;
        }
    }

    /// Adds what each member lost since the last turn to what presses on it.
    fn note_pressure(&mut self) {
        let equal = self.bytes / (self.members.len() as u64).max(1);
        for member in &mut self.members {
            let demand = member.demand();
            let evictions = demand.evictions.saturating_sub(member.last.evictions);
            let refusals = demand.refusals.saturating_sub(member.last.refusals);
            let mean = demand.weight / demand.entries.max(1);
            // What is refused is heavier than a quarter of the capacity. It presses on a store
            // below an equal part only: no store could take what is heavier still.
            let refused = if member.capacity < equal { member.capacity / 4 } else { 0 };
            let lost =
                evictions.saturating_mul(mean).saturating_add(refusals.saturating_mul(refused));
            member.pressed = member.pressed.saturating_add(lost);
            member.last = demand;
        }
    }

    /// Begins anew after capacity moved: what stores evicted because they shrank does not press.
    fn forget_pressure(&mut self) {
        for member in &mut self.members {
            member.pressed = 0;
            member.last = member.demand();
        }
    }

    /// Notes what each member wants. Returns whether they want more than they have by enough to
    /// move capacity.
    fn weigh_demand(&mut self) -> bool {
        let pressed = self.members.iter().fold(0, |sum: u64, m| sum.saturating_add(m.pressed));
        if pressed < (self.bytes / PRESSED_DIVISOR).clamp(1, PRESSED_MAX) {
            return false;
        }
        let step = (self.bytes / STEP_DIVISOR).min(STEP_MAX).min(pressed);
        let least = self.bytes / (self.members.len() as u64).max(1) / LEAST_DIVISOR;
        for member in &mut self.members {
            member.want = if member.pressed == 0 {
                let weight = member.last.weight;
                // Room to go on filling: half as much again, or a step.
                weight.saturating_add((weight / 2).min(step)).min(member.capacity).max(least)
            } else {
                let part = u128::from(step) * u128::from(member.pressed) / u128::from(pressed);
                member.capacity.saturating_add(u64::try_from(part).unwrap_or(step)).max(least)
            };
        }
        true
    }

    /// Gives each member its part, those that shrink first. Returns whether any capacity changed.
    fn divide(&mut self, also_small_changes: bool) -> bool {
        let parts = self.parts();
        let is_worth = |old: u64, new: u64| {
            let small = (old / CHANGE_DIVISOR).min(CHANGE_MAX);
            old != new && (also_small_changes || old.abs_diff(new) > small)
        };
        let mut has_changed = false;
        for (member, part) in self.members.iter_mut().zip(&parts) {
            if *part < member.capacity && is_worth(member.capacity, *part) {
                member.resize(*part);
                has_changed = true;
            }
        }
        let mut room = self.bytes - self.members.iter().map(|m| m.capacity).sum::<u64>();
        for (member, part) in self.members.iter_mut().zip(&parts) {
            let part = (*part).min(member.capacity + room);
            if part > member.capacity && is_worth(member.capacity, part) {
                room -= part - member.capacity;
                member.resize(part);
                has_changed = true;
            }
        }
        has_changed
    }

    /// The part of each member, in their order.
    fn parts(&self) -> Vec<u64> {
        let mut parts = vec![0; self.members.len()];
        let inner: Vec<Vec<usize>> = self.groups.iter().map(|g| self.indices(Some(g.id))).collect();
        let outer = self.indices(None);
        let mut claims: Vec<Claim> = outer.iter().map(|index| self.claim(*index)).collect();
        for (group, members) in self.groups.iter().zip(&inner) {
            let floors: u64 = members.iter().map(|index| self.claim(*index).floor).sum();
            let want = members.iter().map(|index| self.members[*index].want).sum();
            // An empty group keeps nothing back.
            let ceiling = if members.is_empty() { 0 } else { group.ceiling };
            let floor = group.floor.max(floors).min(ceiling);
            claims.push(Claim { floor, ceiling, want });
        }
        let amounts = divide(self.bytes, &claims);
        for (index, amount) in outer.iter().zip(&amounts) {
            parts[*index] = *amount;
        }
        for (members, amount) in inner.iter().zip(&amounts[outer.len()..]) {
            let claims: Vec<Claim> = members.iter().map(|index| self.claim(*index)).collect();
            for (index, part) in members.iter().zip(divide(*amount, &claims)) {
                parts[*index] = part;
            }
        }
        parts
    }

    fn indices(&self, group: Option<u64>) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].group == group).collect()
    }

    fn claim(&self, index: usize) -> Claim {
        let member = &self.members[index];
        // What is pinned stays in any case: less than that would be no bound.
        let floor = member.share.floor.max(member.last.pinned.min(member.capacity));
        Claim { floor, ceiling: member.share.ceiling.max(floor), want: member.want }
    }
}

impl MemberState {
    fn demand(&self) -> Demand {
        self.member.upgrade().map_or_else(Demand::default, |member| member.demand())
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        if let Some(member) = self.member.upgrade() {
            member.resize(capacity);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = self.ledger.lock();
        let parts = ledger.members.iter().map(|member| (&member.share.name, member.capacity));
        f.debug_struct("Budget")
            .field("bytes", &ledger.bytes)
            .field("parts", &parts.collect::<Vec<_>>())
            .finish()
    }
}
