//! Keys of the standard library's types.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize, NonZeroU8,
    NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize,
};
use std::sync::Arc;

use super::{CacheKey, KeyWriter};

macro_rules! by_display {
    ($($type:ty),* $(,)?) => {$(
        impl CacheKey for $type {
            fn write(&self, writer: &mut KeyWriter<'_>) {
                writer.display(self);
            }
        }
    )*};
}

by_display!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool, char);
by_display!(NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize);
by_display!(NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize);
by_display!(IpAddr, Ipv4Addr, Ipv6Addr);

impl CacheKey for SocketAddr {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        match self {
            // The one part of an address that its text leaves out.
            Self::V6(v6) if v6.flowinfo() != 0 => {
                writer.display(format_args!("{self}/{}", v6.flowinfo()));
            }
            _ => writer.display(self),
        }
    }
}

macro_rules! by_text {
    ($($type:ty => $heap:expr),* $(,)?) => {$(
        impl CacheKey for $type {
            fn write(&self, writer: &mut KeyWriter<'_>) {
                writer.part(self);
            }

            fn heap_bytes(&self) -> usize {
                let heap: fn(&$type) -> usize = $heap;
                heap(self)
            }
        }
    )*};
}

by_text!(
    String => |text| text.capacity(),
    Box<str> => |text| text.len(),
    Arc<str> => |text| text.len() + 16,
    &'static str => |_| 0,
    Cow<'static, str> => |text| match text { Cow::Borrowed(_) => 0, Cow::Owned(text) => text.capacity() },
);

impl CacheKey for Vec<u8> {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.bytes(self);
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl<const N: usize> CacheKey for [u8; N] {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.bytes(self);
    }
}

/// The first part tells whether more follow.
impl<K: CacheKey> CacheKey for Option<K> {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        match self {
            None => writer.part("none"),
            Some(key) => {
                writer.part("some");
                key.write(writer);
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, CacheKey::heap_bytes)
    }
}

impl CacheKey for () {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.part("");
    }
}

macro_rules! by_members {
    ($($name:ident $index:tt),*) => {
        impl<$($name: CacheKey),*> CacheKey for ($($name,)*) {
            fn write(&self, writer: &mut KeyWriter<'_>) {
                $(self.$index.write(writer);)*
            }

            fn heap_bytes(&self) -> usize {
                0 $(+ self.$index.heap_bytes())*
            }
        }
    };
}

by_members!(A 0);
by_members!(A 0, B 1);
by_members!(A 0, B 1, C 2);
by_members!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text<K: CacheKey>(key: &K) -> String {
        let mut text = String::new();
        KeyWriter::new(&mut text).key(key);
        text
    }

    #[test]
    fn each_kind_of_key_has_its_text() {
        assert_eq!(text(&42_u64), "42");
        assert_eq!(text(&-1_i8), "-1");
        assert_eq!(text(&"a b{c}:d%"), "a b%7Bc%7D%3Ad%25");
        assert_eq!(text(&String::from("é\n")), "%C3%A9%0A");
        assert_eq!(text(&vec![0_u8, 255]), "00ff");
        assert_eq!(text(&("eu", 7_u8, true)), "eu:7:true");
        assert_eq!(text(&None::<u8>), "none");
        assert_eq!(text(&Some("none")), "some:none");
        assert_eq!(text(&IpAddr::from([127, 0, 0, 1])), "127.0.0.1");
        assert_eq!(text(&':'), "%3A");
    }

    #[test]
    fn addresses_that_differ_have_texts_that_differ() {
        let address =
            |flow| SocketAddr::from(std::net::SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, flow, 0));
        assert_eq!(text(&address(0)), "[%3A%3A1]%3A80");
        assert_ne!(text(&address(1)), text(&address(0)));
        assert_ne!(text(&address(1)), text(&address(2)));
    }

    type Nested = (Option<String>, (String, Option<u8>), Vec<u8>);

    proptest! {
        #[test]
        fn different_keys_never_write_the_same_text(a: Nested, b: Nested) {
            prop_assert_eq!(a == b, text(&a) == text(&b));
        }

        #[test]
        fn a_separator_inside_a_part_never_moves_a_border(
            a in "[a:%{}]{0,6}", b in "[a:%{}]{0,6}", c in "[a:%{}]{0,6}", d in "[a:%{}]{0,6}",
        ) {
            let left = (a, b);
            let right = (c, d);
            prop_assert_eq!(left == right, text(&left) == text(&right));
        }
    }
}
