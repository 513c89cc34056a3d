//! A deserializer around another one that bounds depth, elements and reservations.
//!
//! MessagePack, postcard and bincode follow what bytes claim: a list in a list in a list until the
//! stack ends, a million elements of no size, space for as many elements as a length says. Around
//! them stands [`Bounded`], which is everything serde passes between a type and a format in turn
//! (deserializer, visitor, access, seed) and forwards it all:
//!
//! * each sequence, map, enum and option is one level, and [`DEPTH_MAX`] levels are the end;
//! * sequences and maps have no more elements than there are bytes, plus [`ELEMENTS_FREE`] for
//!   elements without bytes; tuples and structs have as many as their type says and do not count;
//! * the space that sequences and maps are told to reserve is, in sum, one element for each byte.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::DEPTH_MAX;

/// Elements that need no byte, such as `()`, which a value may have for nothing.
const ELEMENTS_FREE: usize = 4096;

/// Reads a value from `deserializer`, whose input has `bytes` bytes.
pub(super) fn read<'de, V, D>(deserializer: D, bytes: usize) -> Result<V, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let budget = Budget {
        elements: Cell::new(bytes.saturating_add(ELEMENTS_FREE)),
        reservations: Cell::new(bytes),
    };
    let bounds = Bounds { budget: &budget, levels: DEPTH_MAX, is_counted: false };
    V::deserialize(Bounded(deserializer, bounds))
}

struct Budget {
    elements: Cell<usize>,
    reservations: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Bounds<'b> {
    budget: &'b Budget,
    levels: usize,
    /// Whether the type asked for something whose length the bytes decide.
    is_counted: bool,
}

impl Bounds<'_> {
    #[inline]
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(E::custom("nested too deep")),
        }
    }

    #[inline]
    fn element<E: Error>(self) -> Result<(), E> {
        if !self.is_counted {
            return Ok(());
        }
        match self.budget.elements.get().checked_sub(1) {
            Some(left) => {
                self.budget.elements.set(left);
                Ok(())
            }
            None => Err(E::custom("more elements than bytes")),
        }
    }

    #[inline]
    fn reservation(self, hint: Option<usize>) -> Option<usize> {
        if !self.is_counted {
            return hint;
        }
        let left = self.budget.reservations.get();
        let granted = hint?.min(left);
        self.budget.reservations.set(left - granted);
        Some(granted)
    }
}

struct Bounded<'b, T>(T, Bounds<'b>);

macro_rules! forward_to_format {
    ($is_counted:literal: $($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            let bounds = Bounds { is_counted: $is_counted, ..self.1 };
            self.0.$method($($argument,)* Bounded(visitor, bounds))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    forward_to_format! { true:
        deserialize_any();
        deserialize_ignored_any();
        deserialize_seq();
        deserialize_map();
    }

    forward_to_format! { false:
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! forward_to_type {
    ($($method:ident($type:ty);)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    forward_to_type! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let bounds = self.1.deeper()?;
        self.0.visit_some(Bounded(inner, bounds))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Bounded(inner, self.1))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<V::Value, A::Error> {
        let bounds = self.1.deeper()?;
        self.0.visit_seq(Bounded(sequence, bounds))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let bounds = self.1.deeper()?;
        self.0.visit_map(Bounded(map, bounds))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        let bounds = self.1.deeper()?;
        self.0.visit_enum(Bounded(variant, bounds))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Bounded(deserializer, self.1))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let element = self.0.next_element_seed(Bounded(seed, self.1))?;
        if element.is_some() {
            self.1.element()?;
        }
        Ok(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.1.reservation(self.0.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let key = self.0.next_key_seed(Bounded(seed, self.1))?;
        if key.is_some() {
            self.1.element()?;
        }
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Bounded(seed, self.1))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.1.reservation(self.0.size_hint())
    }
}

impl<'b, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'b, A> {
    type Error = A::Error;
    type Variant = Bounded<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Bounded(seed, self.1))?;
        Ok((value, Bounded(variant, self.1)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Bounded(seed, self.1))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Bounded(visitor, self.1))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Bounded(visitor, self.1))
    }
}
