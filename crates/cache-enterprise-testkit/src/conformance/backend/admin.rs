//! Listing keys and dropping whole prefixes.

use std::collections::BTreeSet;

use bytes::Bytes;
use cache_enterprise_core::{ErrorKind, KeyPrefix, KeySpace, StoredKey};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Scan] => [
        a_scan_of_nothing_ends,
        a_scan_lists_every_key_once_it_is_put,
        a_scan_keeps_its_pages_within_the_limit,
        a_scan_takes_any_limit,
        a_scan_leaves_out_removed_keys,
        a_scan_keeps_to_its_prefix,
        a_scan_takes_no_name_for_a_pattern,
        a_scan_gives_keys_that_can_be_read,
        a_scan_during_writes_lists_what_stays,
        a_foreign_cursor_does_no_harm,
    ]
    needs [Need::ClearPrefix] => [
        a_clear_of_nothing_is_no_error,
        a_clear_drops_every_key_of_the_prefix,
        a_clear_keeps_to_its_prefix,
        a_clear_takes_no_name_for_a_pattern,
        a_cleared_prefix_takes_new_values,
    ]
    needs [Need::Scan, Need::ClearPrefix] => [
        a_scan_finds_nothing_after_a_clear,
    ]
}

/// Managers, tenants and caches whose names begin with one another; each holds a key.
const NEIGHBOURS: [(&str, &str, &str); 8] = [
    ("suite", "acme", "users"),
    ("suite", "ac", "users"),
    ("suite", "acme2", "users"),
    ("suite", "", "acme"),
    ("suite", "", "users"),
    ("suite2", "acme", "users"),
    ("suite", "acme", "users2"),
    ("suite", "acme:users", "users"),
];

/// Names that Redis or SQL would take for patterns, before others that those patterns match.
const PATTERNS: [&str; 10] = ["a*", "a?", "[a]", "a%", "_", "*", "?", "ab", "a", "b"];

async fn put_neighbours(subject: &Subject) -> Result<Vec<StoredKey>, Failure> {
    let mut keys = Vec::new();
    for (manager, tenant, cache) in NEIGHBOURS {
        keys.push(KeySpace::new(manager, tenant, cache)?.key(&7_u8)?);
    }
    for name in PATTERNS {
        keys.push(KeySpace::new("suite", name, "users")?.key(&7_u8)?);
    }
    for key in &keys {
        subject.put(key, key.as_str().to_owned()).await?;
    }
    Ok(keys)
}

fn prefixes() -> Vec<KeyPrefix> {
    let mut prefixes = vec![KeyPrefix::manager("suite"), KeyPrefix::manager("suit")];
    for tenant in ["acme", "ac", "a", "", "acme:users", "nobody"] {
        prefixes.push(KeyPrefix::tenant("suite", tenant));
    }
    for cache in ["users", "user", "users2"] {
        prefixes.push(KeyPrefix::cache("suite", "acme", cache));
    }
    prefixes
}

/// All keys under the prefix, by pages of at most `limit`.
pub(super) async fn scan(
    subject: &Subject,
    prefix: &KeyPrefix,
    limit: usize,
) -> Result<BTreeSet<StoredKey>, Failure> {
    let mut found = BTreeSet::new();
    let mut from = None;
    for _ in 0..20_000 {
        let page = subject.backend().scan(prefix, from, limit).await?;
        ensure!(page.keys.len() <= limit, "{} keys in a page of {limit}", page.keys.len());
        found.extend(page.keys);
        from = page.next;
        if from.is_none() {
            return Ok(found);
        }
    }
    Err(Failure(format!("the scan of {} does not end", prefix.as_str())))
}

/// Puts so many keys and gives them back.
pub(super) async fn put_keys(
    subject: &Subject,
    count: usize,
) -> Result<BTreeSet<StoredKey>, Failure> {
    let keys = subject.keys(count)?;
    for key in &keys {
        subject.put(key, "here").await?;
    }
    Ok(keys.into_iter().collect())
}

async fn a_scan_of_nothing_ends(subject: Subject) -> Verdict {
    let found = scan(&subject, &subject.prefix(), 10).await?;
    ensure!(found.is_empty(), "an empty backend lists {found:?}");
    Ok(())
}

async fn a_scan_lists_every_key_once_it_is_put(subject: Subject) -> Verdict {
    let keys = put_keys(&subject, 100).await?;
    ensure_eq!(scan(&subject, &subject.prefix(), 1_000).await?, keys, "listed keys");
    Ok(())
}

async fn a_scan_keeps_its_pages_within_the_limit(subject: Subject) -> Verdict {
    let keys = put_keys(&subject, 100).await?;
    for limit in [1, 7, 99, 100, 101] {
        ensure_eq!(scan(&subject, &subject.prefix(), limit).await?, keys, "keys by {limit}");
    }
    Ok(())
}

async fn a_scan_takes_any_limit(subject: Subject) -> Verdict {
    let keys = put_keys(&subject, 10).await?;
    ensure_eq!(scan(&subject, &subject.prefix(), usize::MAX).await?, keys, "listed keys");
    Ok(())
}

async fn a_scan_leaves_out_removed_keys(subject: Subject) -> Verdict {
    let mut keys = put_keys(&subject, 20).await?;
    for key in subject.keys(5)? {
        subject.remove(&key).await?;
        keys.remove(&key);
    }
    ensure_eq!(scan(&subject, &subject.prefix(), 8).await?, keys, "listed keys");
    Ok(())
}

async fn a_scan_keeps_to_its_prefix(subject: Subject) -> Verdict {
    let keys = put_neighbours(&subject).await?;
    for prefix in prefixes() {
        let expected = keys.iter().filter(|key| prefix.contains(key)).cloned().collect();
        ensure_eq!(scan(&subject, &prefix, 3).await?, expected, "keys of {}", prefix.as_str());
    }
    Ok(())
}

async fn a_scan_takes_no_name_for_a_pattern(subject: Subject) -> Verdict {
    let keys = put_neighbours(&subject).await?;
    for name in PATTERNS {
        let prefix = KeyPrefix::tenant("suite", name);
        let expected = keys.iter().filter(|key| prefix.contains(key)).cloned().collect();
        ensure_eq!(scan(&subject, &prefix, 3).await?, expected, "keys of tenant {name:?}");
    }
    Ok(())
}

async fn a_scan_gives_keys_that_can_be_read(subject: Subject) -> Verdict {
    let texts = ["plain", "a b", "a:b", "{a}%", "é\r\n", ""];
    for text in texts {
        subject.put(&subject.key(text)?, text.to_owned()).await?;
    }
    let listed = scan(&subject, &subject.prefix(), 2).await?;
    ensure_eq!(listed.len(), texts.len(), "number of listed keys");
    for key in &listed {
        ensure!(subject.get(key).await?.is_some(), "the listed key {key} cannot be read");
    }
    Ok(())
}

/// Keys that are there from before the scan to after it are listed, whatever else moves.
async fn a_scan_during_writes_lists_what_stays(subject: Subject) -> Verdict {
    let staying = put_keys(&subject, 100).await?;
    let mut found = BTreeSet::new();
    let mut from = None;
    for round in 0..2_000_u64 {
        let moving = subject.key(&format!("moving-{}", round % 16))?;
        if round % 3 == 2 {
            subject.remove(&moving).await?;
        } else {
            subject.put(&moving, "passing by").await?;
        }
        let page = subject.backend().scan(&subject.prefix(), from, 7).await?;
        found.extend(page.keys);
        from = page.next;
        if from.is_none() {
            let lost: Vec<_> = staying.difference(&found).collect();
            ensure!(lost.is_empty(), "the scan left out {lost:?}");
            return Ok(());
        }
    }
    Err(Failure(String::from("the scan does not end while others write")))
}

async fn a_foreign_cursor_does_no_harm(subject: Subject) -> Verdict {
    put_keys(&subject, 10).await?;
    for cursor in [&b""[..], b"0", b"\xff\xfe", b"another:tenant:cache:key", &[0; 300]] {
        let from = Some(Bytes::copy_from_slice(cursor));
        match subject.backend().scan(&subject.prefix(), from, 5).await {
            Ok(page) => {
                let is_inside = page.keys.iter().all(|key| subject.prefix().contains(key));
                ensure!(is_inside, "a foreign cursor leads out of the prefix");
            }
            Err(error) => {
                let kind = error.kind();
                let is_told = matches!(kind, ErrorKind::InvalidInput | ErrorKind::Corrupt);
                ensure!(is_told, "a foreign cursor is answered with {kind:?}");
            }
        }
    }
    ensure_eq!(scan(&subject, &subject.prefix(), 5).await?.len(), 10, "keys listed afterwards");
    Ok(())
}

async fn a_clear_of_nothing_is_no_error(subject: Subject) -> Verdict {
    subject.backend().clear_prefix(&subject.prefix()).await?;
    subject.put(&subject.key("user")?, "Ada").await?;
    subject.backend().clear_prefix(&KeyPrefix::manager("nobody")).await?;
    subject.expect(&subject.key("user")?, "Ada").await
}

async fn a_clear_drops_every_key_of_the_prefix(subject: Subject) -> Verdict {
    let keys: Vec<_> = put_keys(&subject, 1_000).await?.into_iter().collect();
    subject.backend().clear_prefix(&subject.prefix()).await?;
    let left = subject.get_many(&keys).await?;
    ensure_eq!(left.iter().flatten().count(), 0, "keys left");
    Ok(())
}

async fn clear_and_compare(subject: &Subject, prefix: &KeyPrefix) -> Verdict {
    let keys = put_neighbours(subject).await?;
    subject.backend().clear_prefix(prefix).await?;
    for (key, found) in keys.iter().zip(subject.get_many(&keys).await?) {
        let is_cleared = prefix.contains(key);
        ensure_eq!(found.is_none(), is_cleared, "{key} gone after {}", prefix.as_str());
    }
    Ok(())
}

async fn a_clear_keeps_to_its_prefix(subject: Subject) -> Verdict {
    for prefix in prefixes() {
        clear_and_compare(&subject, &prefix).await?;
    }
    Ok(())
}

async fn a_clear_takes_no_name_for_a_pattern(subject: Subject) -> Verdict {
    for name in PATTERNS {
        clear_and_compare(&subject, &KeyPrefix::tenant("suite", name)).await?;
    }
    Ok(())
}

async fn a_cleared_prefix_takes_new_values(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    subject.backend().clear_prefix(&subject.prefix()).await?;
    subject.expect_miss(&key).await?;
    subject.put(&key, "Grace").await?;
    subject.expect(&key, "Grace").await
}

async fn a_scan_finds_nothing_after_a_clear(subject: Subject) -> Verdict {
    put_keys(&subject, 50).await?;
    subject.backend().clear_prefix(&KeyPrefix::tenant("suite", "acme")).await?;
    let found = scan(&subject, &subject.prefix(), 10).await?;
    ensure!(found.is_empty(), "listed after the clear: {found:?}");
    Ok(())
}
