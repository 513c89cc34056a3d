//! What a key is called on a server.
//!
//! memcached takes names of 1 to 250 bytes without spaces and control bytes. A key that is such a
//! name is stored under itself, so that people find it. Every other key (longer, or with a space,
//! which the escaping of core keeps) is stored under a hash, and its item carries the whole key: a
//! reader compares it, so two keys of one hash are two misses and never one value.

use std::borrow::Cow;
use std::fmt::Write;

use cache_enterprise_core::StoredKey;
use twox_hash::XxHash3_128;

/// Longest name a server takes, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 250;

/// The name of a key, and the key itself where the name does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// What the server is asked for.
    pub(crate) wire: Cow<'a, str>,
    /// The whole key, which the item must carry; empty when the name is the key.
    pub(crate) carried: &'a str,
}

impl<'a> Name<'a> {
    /// The name of a key. Cost: a look at each byte; for a hashed key one allocation more.
    pub(crate) fn of(key: &'a StoredKey) -> Self {
        Self::of_text(key.as_str())
    }

    /// The whole key.
    pub(crate) fn key(&self) -> &str {
        if self.carried.is_empty() { &self.wire } else { self.carried }
    }

    fn of_text(text: &'a str) -> Self {
        let is_name =
            text.len() <= NAME_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_name && text.contains(':') {
            return Self { wire: Cow::Borrowed(text), carried: "" };
        }
        Self { wire: Cow::Owned(hashed(text)), carried: text }
    }
}

/// `#` and two hashes: of manager and tenant, and of the whole key. The first keeps a tenant who
/// can make keys meet from meeting another tenant's. Without a colon, it is nobody's key.
fn hashed(text: &str) -> String {
    let owner = text.match_indices(':').nth(1).map_or(text, |(at, _)| &text[..at]);
    let mut name = String::with_capacity(65);
    let [owner, whole] = [owner, text].map(|part| XxHash3_128::oneshot(part.as_bytes()));
    write!(name, "#{owner:032x}{whole:032x}").expect("text grows");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_is_a_name_stays_as_it_is() {
        let longest = format!("s:t:u:{}", "k".repeat(NAME_BYTES_MAX - 6));
        for text in ["shop:acme:users:42", "shop::users:%20%C3%A9", longest.as_str()] {
            assert_eq!(Name::of_text(text), Name { wire: text.into(), carried: "" });
        }
    }

    #[test]
    fn every_other_key_is_hashed_and_carried() {
        let long = format!("s:t:u:{}", "k".repeat(NAME_BYTES_MAX - 5));
        let texts = [long.as_str(), "s:t:u:a b", "s:t:u:\r\nget x", "s:t:u:\0", "s:t:u:é", ""];
        for text in texts {
            let name = Name::of_text(text);
            assert_eq!((name.wire.len(), name.carried), (65, text));
            assert!(name.wire.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn golden_names_never_change() {
        assert_eq!(Name::of_text("shop:acme:users:a b").wire, GOLDEN);
    }

    const GOLDEN: &str = "#d93bfc6e3cb695aa2fbe621687458be333ea2bafe2347b01ab8fdc6bbd1f8a32";

    proptest! {
        #[test]
        fn different_keys_have_different_names(a in "[ -~]{0,5}:[a-c]:[a-c]:\\PC{0,300}", b in "[a-c]:[a-c]:[a-c]:\\PC{0,300}") {
            prop_assert_eq!(a == b, Name::of_text(&a).wire == Name::of_text(&b).wire);
        }

        #[test]
        fn every_name_is_one_a_server_takes(text in "\\PC{0,400}") {
            let name = Name::of_text(&text);
            let length = name.wire.len();
            prop_assert!((1..=NAME_BYTES_MAX).contains(&length));
            prop_assert!(name.wire.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
