//! One byte budget for all stores of a manager.
//!
//! Every store has a capacity of its own; the budget moves capacity between them so that their
//! sum never passes it. A store that evicts while another has room is given some of that room,
//! until all evict alike for each byte they have. Tenants with a quota are groups: a group is
//! given its part like a member, and divides it among its own.

mod divide;
mod member;

pub use member::{Demand, Group, Member, Membership, Share};

use std::fmt;
use std::sync::{Arc, Weak};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Error, Result};

use self::divide::{Claim, divide};

/// What one turn moves at most: the budget divided by this.
const STEP_DIVISOR: u64 = 16;

/// A capacity changes only by more than itself divided by this: each change costs the store a
/// round over its shards.
const CHANGE_DIVISOR: u64 = 64;

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
    /// Evictions and refusals at the last turn.
    departures: u64,
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

    /// Moves capacity to the stores that evicted since the last turn. Shrinking stores evict
    /// within this call.
    pub fn turn(&self) {
        let mut ledger = self.ledger.lock();
        ledger.members.retain(|member| member.member.strong_count() > 0);
        if ledger.weigh_demand() {
            ledger.divide(false);
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
        let want = ledger.bytes / (ledger.members.len() as u64).max(1);
        for member in &mut ledger.members {
            member.want = member.capacity;
        }
        let weak = Arc::downgrade(member);
        let member: Weak<dyn Member> = weak;
        let departures = member.upgrade().map_or(0, |member| member.demand().departures);
        let state = MemberState { id, group, share, member, capacity: 0, departures, want };
        ledger.members.push(state);
        ledger.divide(true);
        Ok(Membership::new(self.clone(), id))
    }

    fn leave(&self, id: u64) {
        let mut ledger = self.ledger.lock();
        let Some(index) = ledger.members.iter().position(|member| member.id == id) else { return };
        let left = ledger.members.swap_remove(index);
        if let Some(member) = left.member.upgrade() {
            member.resize(0);
        }
        for member in &mut ledger.members {
            member.want = member.capacity;
        }
        ledger.divide(true);
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

    /// Notes what each member wants. Returns whether any wants more than it has.
    fn weigh_demand(&mut self) -> bool {
        let mut demands = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let demand = member.member.upgrade().map_or_else(Demand::default, |m| m.demand());
            let pressure = demand.departures.saturating_sub(member.departures);
            member.departures = demand.departures;
            demands.push((demand.weight, pressure));
        }
        let pressures: u64 = demands.iter().map(|(_, pressure)| pressure).sum();
        if pressures == 0 {
            return false;
        }
        let step = self.bytes / STEP_DIVISOR;
        for (member, (weight, pressure)) in self.members.iter_mut().zip(demands) {
            member.want = if pressure == 0 {
                // Room to go on filling: half as much again, or a step.
                weight.saturating_add((weight / 2).min(step)).min(member.capacity)
            } else {
                let part = u128::from(step) * u128::from(pressure) / u128::from(pressures);
                member.capacity.saturating_add(u64::try_from(part).unwrap_or(step))
            };
        }
        true
    }

    /// Gives each member its part, those that shrink first.
    fn divide(&mut self, also_small_changes: bool) {
        let parts = self.parts();
        let is_worth = |old: u64, new: u64| {
            old != new && (also_small_changes || old.abs_diff(new) > old / CHANGE_DIVISOR)
        };
        for (member, part) in self.members.iter_mut().zip(&parts) {
            if *part < member.capacity && is_worth(member.capacity, *part) {
                member.resize(*part);
            }
        }
        let mut room = self.bytes - self.members.iter().map(|m| m.capacity).sum::<u64>();
        for (member, part) in self.members.iter_mut().zip(&parts) {
            let part = (*part).min(member.capacity + room);
            if part > member.capacity && is_worth(member.capacity, part) {
                room -= part - member.capacity;
                member.resize(part);
            }
        }
    }

    /// The part of each member, in their order.
    fn parts(&self) -> Vec<u64> {
        let mut parts = vec![0; self.members.len()];
        let inner: Vec<Vec<usize>> = self.groups.iter().map(|g| self.indices(Some(g.id))).collect();
        let outer = self.indices(None);
        let mut claims: Vec<Claim> = outer.iter().map(|index| self.claim(*index)).collect();
        for (group, members) in self.groups.iter().zip(&inner) {
            let floors: u64 = members.iter().map(|index| self.members[*index].share.floor).sum();
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
        Claim { floor: member.share.floor, ceiling: member.share.ceiling, want: member.want }
    }
}

impl MemberState {
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
