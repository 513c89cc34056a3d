//! What is worth least leaves first, and each class keeps its share.

use std::collections::BTreeMap;

use cache_enterprise_core::{
    Candidate, Error, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording,
    RemovalCause, Result, Slot, Verdict,
};

use super::lists::{Lists, Weighed};
use super::parameters::number;

const NAME: &str = "business-priority";

/// Lowest worth first (`business-priority`): of what is worth least, the least recently used entry
/// leaves, except that no class shrinks under its floor for another class. Where every class stands
/// at its floor, the least worth leaves all the same. A newcomer always comes in.
///
/// Worth and class come with each [`Candidate`]; [`BusinessRules`](crate::business::BusinessRules)
/// make them from a table. Worths closer than one part in eight count as equal. Where all are
/// equal this is LRU. An entry of high worth that nobody asks for stays while lower ones are there:
/// give it a life.
///
/// A hit takes a constant number of steps; other calls grow with the logarithm of the pairs of
/// class and worth that are in, and a victim looks at each pair whose class is at its floor.
/// 48 bytes a slot.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::BusinessPriority;
///
/// let policy = BusinessPriority::default().floor(1, 0.3)?.floor(2, 0.1)?;
/// assert_eq!(policy.name(), "business-priority");
/// let more_than_all = policy.floor(3, 0.7);
/// assert!(more_than_all.is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BusinessPriority {
    floors: BTreeMap<u8, f64>,
}

impl BusinessPriority {
    /// The share of the capacity that entries of a class keep, 0.001 to 1; all floors together at
    /// most 1. Default: none.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range, or where all
    /// floors together are over 1.
    pub fn floor(mut self, class: u8, share: f64) -> Result<Self> {
        let share = number(NAME, "floor", share, 0.001..=1.0)?;
        self.floors.insert(class, share);
        // Ten times a tenth is a little more than one.
        if self.floors.values().sum::<f64>() > 1.0 + 1e-9 {
            return Err(Error::config("the floors of all classes are more than the capacity")
                .operation("configure the eviction policy")
                .with("policy", NAME)
                .with("class", class));
        }
        Ok(self)
    }
}

impl PolicyFactory for BusinessPriority {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut policy = ByWorth {
            shares: self.floors.clone(),
            lists: Lists::new(0, shape.entries),
            groups: BTreeMap::new(),
            unused: Vec::new(),
            classes: Box::new([Class::default(); 256]),
            uses: 0,
        };
        policy.resize(shape.capacity);
        Box::new(policy)
    }
}

/// Worths by their exponent and the first three bits after the point; a higher one sorts later.
type Grade = u16;

fn grade(worth: f32) -> Grade {
    // A worth is finite and above zero, where the bits of floats sort as the floats do.
    (worth.max(f32::MIN_POSITIVE).to_bits() >> 20) as Grade
}

#[derive(Clone, Copy, Debug, Default)]
struct Valued {
    weight: u64,
    used: u64,
    grade: Grade,
    class: u8,
}

impl Weighed for Valued {
    fn weight(&self) -> u64 {
        self.weight
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    weight: u64,
    floor: u64,
}

#[derive(Debug)]
struct ByWorth {
    shares: BTreeMap<u8, f64>,
    /// One list for each group that has entries, in the order of use.
    lists: Lists<Valued>,
    groups: BTreeMap<(Grade, u8), usize>,
    /// Lists without a group.
    unused: Vec<usize>,
    classes: Box<[Class; 256]>,
    uses: u64,
}

impl EvictionPolicy for ByWorth {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn victim(&mut self, newcomer: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let own = newcomer.map(|newcomer| newcomer.class);
        let victim = self.least(|class, weight| {
            let Class { weight: all, floor } = self.classes[usize::from(class)];
            own == Some(class) || all.saturating_sub(weight) >= floor
        });
        victim.or_else(|| self.least(|_, _| true)).map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        self.take(slot);
        self.uses += 1;
        let &Candidate { weight, worth, class, .. } = newcomer;
        let grade = grade(worth);
        let list = *self
            .groups
            .entry((grade, class))
            .or_insert_with(|| self.unused.pop().unwrap_or_else(|| self.lists.add()));
        self.lists.push_back(list, slot, Valued { weight, used: self.uses, grade, class });
        self.classes[usize::from(class)].weight += weight;
    }

    fn hit(&mut self, slot: Slot) {
        self.uses += 1;
        if let (Some(list), Some(&valued)) = (self.lists.list_of(slot), self.lists.get(slot)) {
            self.lists.push_back(list, slot, Valued { used: self.uses, ..valued });
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        if self.lists.list_of(slot).is_some() {
            self.insert(slot, candidate);
        }
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.take(slot);
    }

    fn resize(&mut self, capacity: u64) {
        for (class, share) in &self.shares {
            self.classes[usize::from(*class)].floor = (capacity as f64 * share) as u64;
        }
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let Valued { grade, class, .. } = *self.lists.get(slot)?;
        let Class { weight, floor } = self.classes[usize::from(class)];
        let worth = f32::from_bits(u32::from(grade) << 20);
        Some(match class {
            0 => format!("of no class, worth about {worth}"),
            class => format!(
                "of class {class}, worth about {worth}; the class weighs {weight}, its floor is {floor}"
            ),
        })
    }
}

impl ByWorth {
    /// The least recently used entry of the lowest grade that has one which may leave.
    fn least(&self, may_leave: impl Fn(u8, u64) -> bool) -> Option<Slot> {
        let mut best: Option<(Grade, u64, Slot)> = None;
        for (&(grade, class), &list) in &self.groups {
            if best.is_some_and(|(lowest, ..)| lowest < grade) {
                break;
            }
            let Some(slot) = self.lists.front(list) else { continue };
            let Some(valued) = self.lists.get(slot) else { continue };
            if may_leave(class, valued.weight) {
                let oldest = best.is_none_or(|(_, used, _)| valued.used < used);
                best = if oldest { Some((grade, valued.used, slot)) } else { best };
            }
        }
        best.map(|(.., slot)| slot)
    }

    fn take(&mut self, slot: Slot) {
        let Some((list, valued)) = self.lists.remove(slot) else { return };
        let class = &mut self.classes[usize::from(valued.class)];
        class.weight = class.weight.saturating_sub(valued.weight);
        if self.lists.len(list) == 0 {
            self.groups.remove(&(valued.grade, valued.class));
            self.unused.push(list);
        }
    }
}
