//! The forms in which a value travels to the tiers.
//!
//! A value is encoded once. It is packed once for each distinct packer among the tiers that are
//! written, so that a tier in the same machine need not pay for the thrift of one behind
//! a network. Bytes that climb keep the form in which they were found: every manager reads every
//! compressor it was told of, and packing a value anew on each climb would cost more than it saves.

use std::sync::Arc;

use bytes::Bytes;

use super::Packer;

/// What compresses values for a tier.
#[derive(Clone, Debug, Default)]
pub(crate) enum Compression {
    /// What the manager says.
    #[default]
    Inherited,
    /// Nothing: values are stored as they are.
    Off,
    /// By something of the tier's own.
    Own(Packer),
}

impl Compression {
    /// What is in force under a manager that says this.
    pub(crate) fn under(&self, managers: Option<&Packer>) -> Option<Packer> {
        match self {
            Self::Inherited => managers.cloned(),
            Self::Off => None,
            Self::Own(packer) => Some(packer.clone()),
        }
    }
}

/// What packs values for the tiers of a stack, each with the number of its form. Without a tier
/// there is one form: the value as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packings(Vec<Option<Packer>>);

impl Packings {
    /// The number of the form that this packer makes; a new one when no tier had it before.
    pub(crate) fn number_of(&mut self, packer: Option<Packer>) -> usize {
        let is_same = |known: &Option<Packer>| match (known, &packer) {
            (Some(known), Some(wanted)) => known.is_same(wanted),
            (known, wanted) => known.is_none() && wanted.is_none(),
        };
        let known = self.0.iter().position(is_same);
        known.unwrap_or_else(|| {
            self.0.push(packer);
            self.0.len() - 1
        })
    }

    /// What makes the form of this number.
    pub(super) fn get(&self, number: usize) -> Option<&Packer> {
        self.0.get(number)?.as_ref()
    }

    /// The packers in the order of their numbers; at least one place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&Packer>> {
        let stands_in = self.0.is_empty().then_some(None);
        self.0.iter().map(Option::as_ref).chain(stands_in)
    }
}

/// The sealed bytes of one value in every form that is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Forms {
    /// The same bytes for every tier.
    One(Bytes),
    /// By the number of the form.
    Several(Arc<[Bytes]>),
}

impl Forms {
    pub(crate) fn new(forms: Vec<Bytes>) -> Self {
        match <[Bytes; 1]>::try_from(forms) {
            Ok([bytes]) => Self::One(bytes),
            Err(forms) => Self::Several(forms.into()),
        }
    }

    /// The shortest of them.
    pub(crate) fn smallest(&self) -> &Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Several(forms) => {
                forms.iter().min_by_key(|form| form.len()).expect("there are several")
            }
        }
    }

    /// The bytes for a tier whose form has this number.
    pub(crate) fn of(&self, packing: usize) -> &Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Several(forms) => &forms[packing],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::tests::Idle;
    use super::super::packer::shared;
    use super::*;

    #[test]
    fn clones_of_one_pointer_are_one_form_and_two_compressors_are_two() {
        let pointer = shared(Idle);
        let mut packings = Packings::default();
        let numbers = [
            Some(Packer::from(Arc::clone(&pointer))),
            None,
            Some(Packer::from(pointer)),
            Some(Packer::from(Idle)),
            None,
        ]
        .map(|packer| packings.number_of(packer));
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert_eq!(packings.iter().count(), 3);
        assert_eq!(Packings::default().iter().count(), 1, "a value without tiers is as it is");
    }
}
