//! Keys.

use cache_enterprise_core::{KeyPrefix, KeySpace, StoredKey};

/// Parses the input as a stored key; its parts must make up the whole again.
pub fn stored_key(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(key) = StoredKey::parse(text) else { return };
    assert_eq!(key.as_str(), text);
    let parts = [key.manager(), key.tenant(), key.cache(), key.key()];
    assert_eq!(parts.join(":"), text);
    assert!(parts[..3].iter().all(|part| !part.contains(':')));
}

/// Key of every kind of part: text, an option, a number, raw bytes.
type Key = (String, Option<String>, u16, Vec<u8>);

/// Makes two (tenant, cache, key) from the input; their stored texts are equal only if they are.
pub fn key_writer(input: &[u8]) {
    let (left, right) = input.split_at(input.len() / 2);
    let (left, right) = (named_key(left), named_key(right));
    let (Some(left_text), Some(right_text)) = (stored(&left), stored(&right)) else { return };
    assert_eq!(left == right, left_text == right_text, "{left_text} and {right_text}");
    for ((tenant, cache, _), text) in [(&left, &left_text), (&right, &right_text)] {
        assert_eq!(StoredKey::parse(text.as_str()).as_ref(), Some(text));
        assert!(text.as_str().bytes().all(|byte| (b' '..0x7f).contains(&byte)));
        assert!(KeyPrefix::cache("m", tenant, cache).contains(text));
    }
}

type NamedKey = (String, String, Key);

/// Cuts the input at its separators, so that mutations move borders between parts.
fn named_key(input: &[u8]) -> NamedKey {
    let mut parts = input.split(|byte| *byte == b'|');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (tenant, cache, first, second) = (text(), text(), text(), text());
    let second = (!second.is_empty()).then_some(second);
    let rest = parts.next().unwrap_or_default();
    let number = rest
        .iter()
        .fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(*byte % 8)));
    (tenant, cache, (first, second, number, rest.to_vec()))
}

fn stored((tenant, cache, key): &NamedKey) -> Option<StoredKey> {
    KeySpace::new("m", tenant, cache).ok()?.key(key).ok()
}

pub(crate) fn stored_seeds() -> Vec<Vec<u8>> {
    ["shop:acme:users:42", "shop::blobs:a%3Ab:none", ":::", "shop:users:42", "größe:::x"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

pub(crate) fn writer_seeds() -> Vec<Vec<u8>> {
    [
        ["acme|users|a|b|c", "acme|users|a|b|c"],
        ["a:|b|%3A||\n", "a|:b|:||\n"],
        ["t|c|{x}|none|", "t|c|{x}||"],
        ["|c|||", "|c|||"],
    ]
    .map(|halves| {
        // The body cuts in the middle, and reads nothing behind the fifth part.
        let len = halves[0].len().max(halves[1].len());
        halves.map(|half| format!("{half:|<len$}")).concat().into_bytes()
    })
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_compares_the_text_none_with_nothing() {
        let compares = |seed: Vec<u8>| {
            let (left, right) = seed.split_at(seed.len() / 2);
            let (mut left, right) = (named_key(left), named_key(right));
            let second = left.2.1.take();
            second.as_deref() == Some("none") && left == right
        };
        assert!(writer_seeds().into_iter().any(compares));
    }
}
