//! Several policies that vote.

use std::cell::Cell;
use std::sync::Arc;

use cache_enterprise_core::{
    Candidate, Error, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording,
    RemovalCause, Result, Slot, Verdict,
};

use super::parameters::number;
use super::{BusinessPriority, S3Fifo};

/// Several policies at once (`composite`): each is told of everything, and each names a victim.
/// With every victim a member gains votes by its rank, one over its place in the list, or by the
/// weight that was set; what has most votes leaves, and those who named it have used theirs up. So
/// what several name leaves first, and where they never agree each decides as often as its votes
/// are many.
///
/// A call costs what it costs all members. The memory is that of all members and one byte a slot
/// for each that counts hits by marks.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::{Composite, resolve};
///
/// let by_rank = Composite::new([resolve("business-priority")?, resolve("lru")?])?;
/// assert_eq!(by_rank.name(), "business-priority+lru");
/// let by_weight = Composite::weighted([(resolve("arc")?, 3.0), (resolve("ttl")?, 1.0)])?;
/// assert_eq!(by_weight.name(), "arc+ttl");
/// assert!(Composite::new([]).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Composite {
    name: String,
    members: Vec<(Arc<dyn PolicyFactory>, f64)>,
}

/// What is meant where several strategies are asked for and none is named: the rules of the
/// business before what requests show.
impl Default for Composite {
    fn default() -> Self {
        let members: [Arc<dyn PolicyFactory>; 2] =
            [Arc::new(BusinessPriority::default()), Arc::new(S3Fifo::default())];
        Self { name: "composite".to_owned(), members: ranked(members).collect() }
    }
}

const MEMBERS_MAX: usize = 8;

fn ranked(
    members: impl IntoIterator<Item = Arc<dyn PolicyFactory>>,
) -> impl Iterator<Item = (Arc<dyn PolicyFactory>, f64)> {
    members.into_iter().enumerate().map(|(at, member)| (member, 1.0 / (at as f64 + 1.0)))
}

impl Composite {
    /// The order of the list is the rank: the second has half the votes of the first, the third a
    /// third. Its name is those of its members, joined by `+`; [`resolve`](super::resolve)
    /// understands it. One to eight members.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) with no member or more than eight.
    pub fn new(members: impl IntoIterator<Item = Arc<dyn PolicyFactory>>) -> Result<Self> {
        Self::weighted(ranked(members))
    }

    /// With a weight for each member, 0.001 to 1000.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) with no member or more than eight, or
    /// with a weight outside of its range.
    pub fn weighted(
        members: impl IntoIterator<Item = (Arc<dyn PolicyFactory>, f64)>,
    ) -> Result<Self> {
        let members: Vec<_> = members.into_iter().take(MEMBERS_MAX + 1).collect();
        if members.is_empty() || members.len() > MEMBERS_MAX {
            return Err(Error::config("a composite has one to eight members")
                .operation("configure the eviction policy")
                .with("policy", "composite"));
        }
        for (_, weight) in &members {
            number("composite", "weight", *weight, 0.001..=1000.0)?;
        }
        let names: Vec<_> = members.iter().map(|(member, _)| member.name()).collect();
        Ok(Self { name: names.join("+"), members })
    }
}

impl PolicyFactory for Composite {
    fn name(&self) -> &str {
        &self.name
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let members =
            self.members.iter().zip(0..).map(|((factory, votes), at)| {
                Member::new(factory.create(&seeded(shape, at)), *votes)
            });
        Box::new(Council { members: members.collect() })
    }

    fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
        let mut councils: Vec<Vec<Member>> = shapes.iter().map(|_| Vec::new()).collect();
        for ((factory, votes), at) in self.members.iter().zip(0..) {
            let shapes: Vec<_> = shapes.iter().map(|shape| seeded(shape, at)).collect();
            let mut made = factory.create_all(&shapes).into_iter();
            for (members, shape) in councils.iter_mut().zip(&shapes) {
                // A factory that gives too few is asked for one at a time.
                let policy = made.next().unwrap_or_else(|| factory.create(shape));
                members.push(Member::new(policy, *votes));
            }
        }
        let council = |members| Box::new(Council { members }) as Box<dyn EvictionPolicy>;
        councils.into_iter().map(council).collect()
    }
}

/// The shape for the member at this place: those that roll dice must not roll the same.
fn seeded(shape: &PolicyShape, at: u64) -> PolicyShape {
    PolicyShape::new(shape.capacity, shape.entries, shape.seed.wrapping_add(at))
}

/// The marks of one member: the store has one count a slot, and members clear it at different
/// times.
#[derive(Debug)]
struct Marks {
    max: u8,
    counts: Vec<Cell<u8>>,
}

impl Marks {
    fn count(&self, slot: Slot) {
        if let Some(count) = self.counts.get(slot.index()) {
            count.set(count.get().saturating_add(1).min(self.max));
        }
    }

    fn clear(&mut self, slot: Slot) {
        if slot.index() >= self.counts.len() {
            self.counts.resize(slot.index() + 1, Cell::new(0));
        }
        self.set(slot, 0);
    }
}

impl HitMarks for Marks {
    fn take(&self, slot: Slot) -> u8 {
        self.counts.get(slot.index()).map_or(0, Cell::take)
    }

    fn set(&self, slot: Slot, count: u8) {
        if let Some(mark) = self.counts.get(slot.index()) {
            mark.set(count);
        }
    }
}

/// What a member wants to know of hits.
#[derive(Debug)]
enum Hits {
    Ignored,
    Told,
    Counted(Marks),
}

#[derive(Debug)]
struct Member {
    policy: Box<dyn EvictionPolicy>,
    hits: Hits,
    gain: f64,
    votes: f64,
}

impl Member {
    fn new(policy: Box<dyn EvictionPolicy>, gain: f64) -> Self {
        let hits = match policy.recording() {
            Recording::Marks { max } => Hits::Counted(Marks { max, counts: Vec::new() }),
            Recording::Queue => Hits::Told,
            Recording::Nothing => Hits::Ignored,
        };
        Self { policy, hits, gain, votes: 0.0 }
    }
}

#[derive(Debug)]
struct Council {
    members: Vec<Member>,
}

impl EvictionPolicy for Council {
    fn recording(&self) -> Recording {
        let deaf = |member: &Member| matches!(member.hits, Hits::Ignored);
        if self.members.iter().all(deaf) { Recording::Nothing } else { Recording::Queue }
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        self.members.iter_mut().for_each(|member| member.policy.arrive(newcomer));
    }

    fn victim(&mut self, newcomer: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
        let mut named = [Verdict::Refuse; MEMBERS_MAX];
        for (member, named) in self.members.iter_mut().zip(&mut named) {
            *named = match &member.hits {
                Hits::Counted(own) => member.policy.victim(newcomer, own),
                Hits::Told | Hits::Ignored => member.policy.victim(newcomer, marks),
            };
            member.votes += member.gain;
        }
        let members = self.members.len();
        let votes_for = |verdict: Verdict| -> f64 {
            let named = named[..members].iter().zip(&self.members);
            named.filter(|(other, _)| **other == verdict).map(|(_, member)| member.votes).sum()
        };
        let mut chosen = named[0];
        for verdict in &named[1..members] {
            // Without a newcomer nobody can be refused: who says so has nothing left to name.
            let refusing_nobody = chosen == Verdict::Refuse && newcomer.is_none();
            if refusing_nobody || votes_for(*verdict) > votes_for(chosen) {
                chosen = *verdict;
            }
        }
        let supporters = named[..members].iter().zip(&mut self.members);
        for (_, member) in supporters.filter(|(verdict, _)| **verdict == chosen) {
            member.votes = 0.0;
        }
        chosen
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        for member in &mut self.members {
            if let Hits::Counted(marks) = &mut member.hits {
                marks.clear(slot);
            }
            member.policy.insert(slot, newcomer);
        }
    }

    fn hit(&mut self, slot: Slot) {
        for member in &mut self.members {
            match &member.hits {
                Hits::Counted(marks) => marks.count(slot),
                Hits::Told => member.policy.hit(slot),
                Hits::Ignored => {}
            }
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.members.iter_mut().for_each(|member| member.policy.update(slot, candidate));
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        self.members.iter_mut().for_each(|member| member.policy.remove(slot, cause));
    }

    fn resize(&mut self, capacity: u64) {
        self.members.iter_mut().for_each(|member| member.policy.resize(capacity));
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let accounts = self.members.iter().filter_map(|member| member.policy.account(slot));
        let accounts: Vec<_> = accounts.collect();
        (!accounts.is_empty()).then(|| accounts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use cache_enterprise_core::Slot;

    use super::super::Lru;
    use super::*;

    /// Makes one policy, however many are asked for.
    #[derive(Debug)]
    struct Single;

    impl PolicyFactory for Single {
        fn name(&self) -> &str {
            "single"
        }

        fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
            Lru.create(shape)
        }

        fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
            shapes.iter().take(1).map(|shape| self.create(shape)).collect()
        }
    }

    #[test]
    fn a_member_that_gives_too_few_policies_is_asked_for_one_at_a_time() -> Result<()> {
        let composite = Composite::new([Arc::new(Single) as Arc<dyn PolicyFactory>])?;
        let shapes = [1, 2, 3].map(|seed| PolicyShape::new(100, 100, seed));
        let councils = composite.create_all(&shapes);
        assert_eq!(councils.len(), 3);
        for mut council in councils {
            let newcomer = Candidate::new(7, 1);
            council.insert(Slot(0), &newcomer);
            let marks = Marks { max: 1, counts: Vec::new() };
            assert_eq!(council.victim(Some(&newcomer), &marks), Verdict::Evict(Slot(0)));
        }
        Ok(())
    }
}
