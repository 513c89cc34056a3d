//! Keys of every shape: long, odd, alike, many.

use std::collections::HashSet;

use cache_enterprise_core::{KEY_BYTES_MAX, KeySpace};

use super::cases;
use super::subject::Subject;
use super::values::whole;
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        the_longest_key_works,
        long_keys_that_differ_at_the_end_are_two_keys,
        odd_characters_in_keys_work,
        keys_that_look_like_paths_and_patterns_are_plain_keys,
        letter_case_makes_a_difference,
        a_key_that_begins_with_another_is_its_own,
        tenants_and_caches_do_not_share_keys,
        two_thousand_keys_are_all_kept,
    ]
}

/// The longest key of the suite's space, ending in `end`.
fn longest(subject: &Subject, end: char) -> String {
    let room = KEY_BYTES_MAX - subject.prefix().as_str().len();
    let mut text = "k".repeat(room - 1);
    text.push(end);
    text
}

async fn the_longest_key_works(subject: Subject) -> Verdict {
    let key = subject.key(&longest(&subject, 'a'))?;
    ensure_eq!(key.len(), KEY_BYTES_MAX, "length of the key");
    subject.put(&key, "Ada").await?;
    subject.expect(&key, "Ada").await?;
    ensure!(subject.remove(&key).await?, "the key was there");
    subject.expect_miss(&key).await
}

async fn long_keys_that_differ_at_the_end_are_two_keys(subject: Subject) -> Verdict {
    let (a, b) = (subject.key(&longest(&subject, 'a'))?, subject.key(&longest(&subject, 'b'))?);
    subject.put(&a, "a").await?;
    subject.expect_miss(&b).await?;
    subject.put(&b, "b").await?;
    subject.expect(&a, "a").await?;
    subject.expect(&b, "b").await
}

/// Each of the texts is a key of its own: all are put before any is read.
async fn all_apart(subject: &Subject, texts: &[&str]) -> Verdict {
    for text in texts {
        subject.put(&subject.key(text)?, format!("value of {text:?}")).await?;
    }
    for text in texts {
        subject.expect(&subject.key(text)?, format!("value of {text:?}")).await?;
    }
    for text in texts {
        ensure!(subject.remove(&subject.key(text)?).await?, "{text:?} was there");
        subject.expect_miss(&subject.key(text)?).await?;
    }
    Ok(())
}

async fn odd_characters_in_keys_work(subject: Subject) -> Verdict {
    let texts = [
        "",
        " ",
        "  ",
        " a",
        "a ",
        "a b",
        "%",
        "%25",
        "%20",
        "a%20b",
        "\r\n",
        "\n",
        "\0",
        "a\0b",
        "\t",
        "\x7f",
        "é",
        "e\u{301}",
        "日本語",
        "🦀",
        ":",
        "::",
        "a:b",
        "{a}",
        "}{",
        "\"",
        "'",
        "`",
        "\\",
    ];
    all_apart(&subject, &texts).await
}

async fn keys_that_look_like_paths_and_patterns_are_plain_keys(subject: Subject) -> Verdict {
    let texts = [
        ".",
        "..",
        "../..",
        "/",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "CON",
        "~",
        "$HOME",
        "*",
        "?",
        "[a]",
        "a*",
        "^a$",
        "-n",
        "--help",
        "noreply",
        "0",
        "-1",
        "1e9",
        "null",
        "get 0",
        "END",
    ];
    all_apart(&subject, &texts).await
}

async fn letter_case_makes_a_difference(subject: Subject) -> Verdict {
    all_apart(&subject, &["user", "User", "USER", "uSer"]).await
}

async fn a_key_that_begins_with_another_is_its_own(subject: Subject) -> Verdict {
    all_apart(&subject, &["u", "us", "use", "user", "user:", "user:1", "user:10"]).await
}

async fn tenants_and_caches_do_not_share_keys(subject: Subject) -> Verdict {
    let names = [
        ("suite", "acme", "users"),
        ("suite", "acme", "user"),
        ("suite", "ac", "users"),
        ("suite", "", "users"),
        ("suit", "acme", "users"),
        ("suite", "acme:users", "users"),
    ];
    let mut keys = Vec::new();
    for (manager, tenant, cache) in names {
        keys.push(KeySpace::new(manager, tenant, cache)?.key(&7_u8)?);
    }
    for (number, key) in (0..).zip(&keys) {
        subject.put(key, whole(number, 32)).await?;
    }
    for (number, key) in (0..).zip(&keys) {
        subject.expect(key, whole(number, 32)).await?;
    }
    ensure!(subject.remove(&keys[0]).await?, "the first key was there");
    for (number, key) in (0..).zip(&keys).skip(1) {
        subject.expect(key, whole(number, 32)).await?;
    }
    Ok(())
}

async fn two_thousand_keys_are_all_kept(subject: Subject) -> Verdict {
    let keys = subject.keys(2_000)?;
    ensure_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "distinct keys");
    for (number, key) in (0..).zip(&keys) {
        subject.put(key, whole(number, 100)).await?;
    }
    for (number, key) in (0..).zip(&keys) {
        subject.expect(key, whole(number, 100)).await?;
    }
    Ok(())
}
