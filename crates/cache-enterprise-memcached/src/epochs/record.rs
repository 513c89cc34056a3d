//! The bytes of a record: the epochs of one tenant, or of a manager as a whole.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `cee` and the version of this layout: 1 |
//! | 8 | xxh3 of all that follows |
//! | 2 and as many | length and text of the manager's name |
//! | 2 and as many | length and text of the tenant's |
//! | 8 | birth: drawn when the record was made |
//! | 8 | floor |
//! | 8 | the newest number that the record was told |
//! | 8, 2 and as many | number, length and text of each target, in the order of their last raise |
//!
//! Numbers are little-endian; a text is UTF-8.

use bytes::Buf;
use cache_enterprise_core::coherence::{EpochTarget, PATTERNS_MAX};
use cache_enterprise_core::{Sequence, mutant};
use twox_hash::XxHash3_64;

/// Longest record. A raise moves the record twice and every process reads it after; so it is kept
/// far below the longest item. It names some 5 000 tags of 16 bytes.
pub(super) const RECORD_BYTES_MAX: usize = 128 * 1024;
/// Targets that were not raised again for so long fold into the floor: no entry lives longer.
const LONGEST_LIFE_US: u64 = 30 * 24 * 60 * 60 * 1_000_000;

const MAGIC: [u8; 4] = [b'c', b'e', b'e', 1];
const CHECKED_AT: usize = 12;

/// Whose record it is. The empty tenant of a manager's own record is told from the root tenant's
/// by its name on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner<'a> {
    pub(super) manager: &'a str,
    pub(super) tenant: &'a str,
}

/// A record in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) birth: u64,
    pub(super) floor: Sequence,
    pub(super) newest: Sequence,
    /// In the order of their last raise.
    targets: Vec<(String, Sequence)>,
}

impl Record {
    /// A record that trusts nothing older than `floor`.
    pub(super) fn born(birth: u64, floor: Sequence) -> Self {
        Self { birth, floor, newest: floor, targets: Vec::new() }
    }

    /// What is known of targets. One that this version does not know ends as much as it can name.
    pub(super) fn epochs(&self) -> impl Iterator<Item = (EpochTarget, Sequence)> {
        let target = |field: &String| EpochTarget::from_field(field).unwrap_or(EpochTarget::Tenant);
        self.targets.iter().map(move |(field, epoch)| (target(field), *epoch))
    }

    /// Notes a raise. Cost: a look at every target for each that is raised. Of each cache no more
    /// patterns are noted than a process compares.
    pub(super) fn raise<'t>(
        &mut self,
        targets: impl IntoIterator<Item = &'t EpochTarget>,
        number: Sequence,
    ) {
        self.newest = self.newest.max(number);
        for target in targets {
            self.note(target.field(), number);
            self.fold_patterns(target);
        }
    }

    fn note(&mut self, field: String, number: Sequence) {
        let known = self.targets.iter().position(|(known, _)| *known == field);
        let before = known.map(|at| self.targets.remove(at).1);
        self.targets.push((field, number.max(before.unwrap_or_default())));
    }

    /// Ends the whole cache of `raised` at the number of its oldest pattern, where that is one too
    /// many.
    fn fold_patterns(&mut self, raised: &EpochTarget) {
        let (pattern, is_soft) = match raised {
            EpochTarget::Soft(hard) => (&**hard, true),
            hard => (hard, false),
        };
        let EpochTarget::Pattern(cache, _) = pattern else { return };
        let is_alike = |field: &str| {
            let (field, found_soft) =
                field.strip_prefix('~').map_or((field, false), |hard| (hard, true));
            let found = field.starts_with('g').then(|| EpochTarget::from_field(field)).flatten();
            found_soft == is_soft
                && matches!(found, Some(EpochTarget::Pattern(of, _)) if of == *cache)
        };
        let alike = self.targets.iter().enumerate().filter(|(_, (field, _))| is_alike(field));
        let places: Vec<usize> = alike.map(|(place, _)| place).collect();
        if places.len() <= PATTERNS_MAX {
            return;
        }
        let oldest = places.into_iter().min_by_key(|place| self.targets[*place].1);
        let (_, number) = self.targets.remove(oldest.expect("there are more than are kept"));
        if mutant::breaks("a pattern too many ends the whole cache") {
            return;
        }
        let whole = EpochTarget::Cache(cache.clone());
        let whole = if is_soft { whole.soft() } else { whole };
        self.note(whole.field(), number);
    }

    /// Folds what is too old, too much for so many bytes, or too long to be written, into the
    /// floor, with all that was raised before.
    pub(super) fn fold(&mut self, owner: Owner<'_>, bytes_max: usize) {
        let oldest = self.newest.0.saturating_sub(LONGEST_LIFE_US);
        let target_bytes = |(field, _): &(String, Sequence)| 10 + field.len();
        let mut bytes = head_bytes(owner) + self.targets.iter().map(target_bytes).sum::<usize>();
        let is_too_long = |(field, _): &(String, Sequence)| u16::try_from(field.len()).is_err();
        let too_long = self.targets.iter().rposition(is_too_long);
        let mut folded = 0;
        for target in &self.targets {
            let is_before = too_long.is_some_and(|place| folded <= place);
            if bytes <= bytes_max && target.1.0 >= oldest && !is_before {
                break;
            }
            bytes -= target_bytes(target);
            folded += 1;
        }
        for (_, epoch) in self.targets.drain(..folded) {
            self.floor = self.floor.max(epoch);
        }
    }

    pub(super) fn encode(&self, owner: Owner<'_>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(head_bytes(owner) + self.targets.len() * 32);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; CHECKED_AT - MAGIC.len()]);
        put_text(&mut bytes, owner.manager);
        put_text(&mut bytes, owner.tenant);
        for number in [self.birth, self.floor.0, self.newest.0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (field, epoch) in &self.targets {
            bytes.extend_from_slice(&epoch.0.to_le_bytes());
            put_text(&mut bytes, field);
        }
        let sum = XxHash3_64::oneshot(&bytes[CHECKED_AT..]);
        bytes[MAGIC.len()..CHECKED_AT].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are damaged or another owner's: to their reader the record is lost.
    pub(super) fn decode(owner: Owner<'_>, bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(CHECKED_AT)?;
        let sum = XxHash3_64::oneshot(rest).to_le_bytes();
        if head[..MAGIC.len()] != MAGIC || head[MAGIC.len()..] != sum {
            return None;
        }
        let from = &mut rest;
        if text(from)? != owner.manager || text(from)? != owner.tenant {
            return None;
        }
        let birth = from.try_get_u64_le().ok()?;
        let floor = Sequence(from.try_get_u64_le().ok()?);
        let newest = Sequence(from.try_get_u64_le().ok()?);
        let mut targets = Vec::new();
        while !from.is_empty() {
            let epoch = Sequence(from.try_get_u64_le().ok()?);
            targets.push((text(from)?.to_owned(), epoch));
        }
        Some(Self { birth, floor, newest, targets })
    }
}

fn head_bytes(owner: Owner<'_>) -> usize {
    CHECKED_AT + 2 + owner.manager.len() + 2 + owner.tenant.len() + 24
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("names are short and long targets were folded");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(from.try_get_u16_le().ok()?);
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::tag;

    const ACME: Owner<'static> = Owner { manager: "shop", tenant: "acme" };

    fn tag_named(name: &str) -> EpochTarget {
        EpochTarget::Tag(tag!("{name}"))
    }

    fn record() -> Record {
        let mut record = Record::born(7, Sequence(5));
        record.raise([&tag_named("org:7"), &EpochTarget::Tenant.soft()], Sequence(9));
        record
    }

    #[test]
    fn what_was_encoded_comes_back_to_its_owner_alone() {
        let bytes = record().encode(ACME);
        assert_eq!(Record::decode(ACME, &bytes), Some(record()));
        assert_eq!(Record::decode(Owner { tenant: "", ..ACME }, &bytes), None);
        assert_eq!(Record::decode(Owner { manager: "shop2", ..ACME }, &bytes), None);
        let epochs: Vec<_> = record().epochs().collect();
        let soft = EpochTarget::Tenant.soft();
        assert_eq!(epochs, [(tag_named("org:7"), Sequence(9)), (soft, Sequence(9))]);
    }

    #[test]
    fn golden_records_stay_readable() {
        let golden: &[&[u8]] = &[
            b"cee\x01",
            &[0x37, 0xa7, 0x26, 0x4b, 0x1d, 0x22, 0x64, 0xcd],
            b"\x04\x00shop\x04\x00acme",
            &[7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
            b"\x09\x00\x00\x00\x00\x00\x00\x00\x06\x00torg:7",
            b"\x09\x00\x00\x00\x00\x00\x00\x00\x02\x00~.",
        ];
        assert_eq!(record().encode(ACME), golden.concat());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = record().encode(ACME);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(ACME, &flipped), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(ACME, &bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_pattern_too_many_becomes_the_end_of_its_cache_at_the_number_of_the_oldest() {
        let pattern = |cache: &str, number: u64| {
            let text = cache_enterprise_core::Pattern::new(&format!("{number}:*")).expect("plain");
            EpochTarget::Pattern(cache.into(), std::sync::Arc::new(text))
        };
        let mut record = Record::born(7, Sequence::ZERO);
        let kept = PATTERNS_MAX as u64;
        for number in 1..=kept {
            record.raise([&pattern("users", number)], Sequence(number));
            record.raise([&pattern("users", number).soft()], Sequence(number));
            record.raise([&pattern("posts", number)], Sequence(number));
        }
        assert_eq!(record.epochs().count(), 3 * PATTERNS_MAX);
        record.raise([&pattern("users", kept + 1)], Sequence(kept + 1));
        record.raise([&pattern("users", kept + 1).soft()], Sequence(kept + 1));
        let epochs: Vec<_> = record.epochs().collect();
        let users = EpochTarget::Cache("users".into());
        assert_eq!(epochs.len(), 3 * PATTERNS_MAX + 2);
        assert!(epochs.contains(&(users.clone(), Sequence(1))));
        assert!(epochs.contains(&(users.soft(), Sequence(1))));
        assert!(!epochs.contains(&(pattern("users", 1), Sequence(1))));
        assert!(epochs.contains(&(pattern("posts", 1), Sequence(1))));
        let bytes = record.encode(ACME);
        assert_eq!(Record::decode(ACME, &bytes).as_ref(), Some(&record), "and it is stored so");
    }

    #[test]
    fn too_much_folds_from_the_oldest_and_moves_the_floor() {
        let mut record = Record::born(7, Sequence::ZERO);
        for number in 1..=1_000 {
            record.raise([&tag_named(&format!("tag:{number:04}"))], Sequence(number));
        }
        // The oldest is raised again and stays.
        record.raise([&tag_named("tag:0001")], Sequence(1_001));
        record.fold(ACME, 2_000);
        assert!(record.encode(ACME).len() <= 2_000);
        let kept: Vec<_> = record.epochs().map(|(_, epoch)| epoch).collect();
        assert_eq!(record.floor.0 + 1, kept[0].0);
        assert_eq!(kept.last(), Some(&Sequence(1_001)));
        record.raise([&tag_named(&"long".repeat(50_000))], Sequence(1_002));
        record.fold(ACME, RECORD_BYTES_MAX);
        assert_eq!((record.floor, record.epochs().count()), (Sequence(1_002), 0));
    }

    #[test]
    fn a_target_too_long_to_be_written_folds_with_what_was_raised_before_it() {
        let mut record = Record::born(7, Sequence::ZERO);
        record.raise([&tag_named("a")], Sequence(1));
        record.raise([&tag_named(&"l".repeat(70_000))], Sequence(2));
        record.raise([&tag_named("b")], Sequence(3));
        record.fold(ACME, RECORD_BYTES_MAX);
        assert_eq!(record.floor, Sequence(2));
        assert!(record.epochs().eq([(tag_named("b"), Sequence(3))]));
        assert_eq!(Record::decode(ACME, &record.encode(ACME)), Some(record));
    }

    #[test]
    fn what_outlives_every_entry_folds() {
        let day = 24 * 60 * 60 * 1_000_000;
        let mut record = Record::born(7, Sequence::ZERO);
        record.raise([&tag_named("old")], Sequence(day));
        record.raise([&tag_named("young")], Sequence(2 * day));
        record.raise([&tag_named("new")], Sequence(31 * day + 1));
        record.fold(ACME, RECORD_BYTES_MAX);
        assert_eq!((record.floor, record.epochs().count()), (Sequence(day), 2));
    }

    #[test]
    fn a_late_raise_of_a_lower_number_lowers_nothing() {
        let mut record = record();
        record.raise([&tag_named("org:7")], Sequence(6));
        assert!(record.epochs().any(|epoch| epoch == (tag_named("org:7"), Sequence(9))));
        assert_eq!(record.newest, Sequence(9));
    }
}
