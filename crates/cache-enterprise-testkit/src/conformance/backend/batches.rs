//! Calls with several keys.

use bytes::Bytes;
use cache_enterprise_core::{Put, PutOutcome, Sequence, StoredKey};

use super::cases;
use super::subject::{Need, Subject};
use super::values::whole;
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        get_many_of_nothing_is_nothing,
        get_many_answers_in_the_order_of_its_keys,
        get_many_marks_what_is_missing,
        get_many_answers_each_of_equal_keys,
        get_many_of_a_thousand_keys_is_whole,
        put_many_of_nothing_is_nothing,
        put_many_puts_each_value_under_its_key,
        put_many_of_one_key_twice_keeps_the_last,
        put_many_replaces_what_was_there,
        remove_many_counts_what_was_there,
        remove_many_counts_equal_keys_once,
        remove_many_of_nothing_is_zero,
        remove_many_leaves_other_keys,
    ]
    needs [Need::Fence] => [
        put_many_gives_each_outcome_in_its_place,
        remove_many_fences_every_key,
    ]
}

fn item(key: &StoredKey, value: impl Into<Bytes>, version: u64) -> (StoredKey, Bytes, Put) {
    (key.clone(), value.into(), Put { version: Sequence(version), ..Put::default() })
}

async fn get_many_of_nothing_is_nothing(subject: Subject) -> Verdict {
    ensure_eq!(subject.get_many(&[]).await?, [None::<Bytes>; 0], "answers");
    Ok(())
}

async fn get_many_answers_in_the_order_of_its_keys(subject: Subject) -> Verdict {
    let mut keys = subject.keys(20)?;
    for (number, key) in (0..).zip(&keys) {
        subject.put(key, whole(number, 40)).await?;
    }
    let mut expected: Vec<_> = (0..20).map(|number| Some(whole(number, 40))).collect();
    ensure_eq!(subject.get_many(&keys).await?, expected, "answers in rising order");
    keys.reverse();
    expected.reverse();
    ensure_eq!(subject.get_many(&keys).await?, expected, "answers in falling order");
    Ok(())
}

async fn get_many_marks_what_is_missing(subject: Subject) -> Verdict {
    let keys = subject.keys(9)?;
    for (number, key) in (0..).zip(&keys).step_by(2) {
        subject.put(key, whole(number, 40)).await?;
    }
    let expected: Vec<_> =
        (0..9).map(|number| (number % 2 == 0).then(|| whole(number, 40))).collect();
    ensure_eq!(subject.get_many(&keys).await?, expected, "answers");
    Ok(())
}

async fn get_many_answers_each_of_equal_keys(subject: Subject) -> Verdict {
    let (a, b, missing) = (subject.key("a")?, subject.key("b")?, subject.key("missing")?);
    subject.put(&a, "A").await?;
    subject.put(&b, "B").await?;
    let asked = [a.clone(), missing.clone(), a.clone(), b, missing, a];
    let expected = [Some("A"), None, Some("A"), Some("B"), None, Some("A")];
    let found = subject.get_many(&asked).await?;
    ensure_eq!(found, expected.map(|text| text.map(Bytes::from)), "answers");
    Ok(())
}

async fn get_many_of_a_thousand_keys_is_whole(subject: Subject) -> Verdict {
    let keys = subject.keys(1_000)?;
    let items = (0..).zip(&keys).map(|(number, key)| item(key, whole(number, 64), 0)).collect();
    let outcomes = subject.backend().put_many(items, &subject.ctx).await?;
    ensure!(outcomes == [PutOutcome::Stored; 1_000], "not every value was stored");
    let expected: Vec<_> = (0..1_000).map(|number| Some(whole(number, 64))).collect();
    ensure!(subject.get_many(&keys).await? == expected, "a value is missing or out of place");
    Ok(())
}

async fn put_many_of_nothing_is_nothing(subject: Subject) -> Verdict {
    let outcomes = subject.backend().put_many(Vec::new(), &subject.ctx).await?;
    ensure!(outcomes.is_empty(), "outcomes of nothing: {outcomes:?}");
    Ok(())
}

async fn put_many_puts_each_value_under_its_key(subject: Subject) -> Verdict {
    let keys = subject.keys(20)?;
    let items = (0..).zip(&keys).map(|(number, key)| item(key, whole(number, 40), 0)).collect();
    let outcomes = subject.backend().put_many(items, &subject.ctx).await?;
    ensure_eq!(outcomes, [PutOutcome::Stored; 20], "outcomes");
    for (number, key) in (0..).zip(&keys) {
        subject.expect(key, whole(number, 40)).await?;
    }
    Ok(())
}

async fn put_many_of_one_key_twice_keeps_the_last(subject: Subject) -> Verdict {
    let (key, other) = (subject.key("twice")?, subject.key("other")?);
    let items = vec![item(&key, "first", 5), item(&other, "other", 5), item(&key, "last", 5)];
    let outcomes = subject.backend().put_many(items, &subject.ctx).await?;
    ensure_eq!(outcomes, [PutOutcome::Stored; 3], "outcomes");
    subject.expect(&key, "last").await?;
    subject.expect(&other, "other").await
}

async fn put_many_replaces_what_was_there(subject: Subject) -> Verdict {
    let keys = subject.keys(3)?;
    subject.put(&keys[1], "old").await?;
    let items = keys.iter().map(|key| item(key, "new", 0)).collect();
    subject.backend().put_many(items, &subject.ctx).await?;
    for key in &keys {
        subject.expect(key, "new").await?;
    }
    Ok(())
}

async fn remove_many_counts_what_was_there(subject: Subject) -> Verdict {
    let keys = subject.keys(10)?;
    for key in &keys[..4] {
        subject.put(key, "here").await?;
    }
    let removed = subject.backend().remove_many(&keys, Sequence::ZERO, &subject.ctx).await?;
    ensure_eq!(removed, 4, "removed keys");
    ensure_eq!(subject.get_many(&keys).await?, vec![None::<Bytes>; 10], "what is left");
    Ok(())
}

async fn remove_many_counts_equal_keys_once(subject: Subject) -> Verdict {
    let key = subject.key("twice")?;
    subject.put(&key, "here").await?;
    let keys = [key.clone(), key.clone(), key];
    let removed = subject.backend().remove_many(&keys, Sequence::ZERO, &subject.ctx).await?;
    ensure_eq!(removed, 1, "removed keys");
    Ok(())
}

async fn remove_many_of_nothing_is_zero(subject: Subject) -> Verdict {
    let removed = subject.backend().remove_many(&[], Sequence::ZERO, &subject.ctx).await?;
    ensure_eq!(removed, 0, "removed keys");
    Ok(())
}

async fn remove_many_leaves_other_keys(subject: Subject) -> Verdict {
    let keys = subject.keys(6)?;
    for (number, key) in (0..).zip(&keys) {
        subject.put(key, whole(number, 40)).await?;
    }
    subject.backend().remove_many(&keys[..3], Sequence::ZERO, &subject.ctx).await?;
    for (number, key) in (0..).zip(&keys) {
        match number {
            0..3 => subject.expect_miss(key).await?,
            _ => subject.expect(key, whole(number, 40)).await?,
        }
    }
    Ok(())
}

async fn put_many_gives_each_outcome_in_its_place(subject: Subject) -> Verdict {
    let keys = subject.keys(4)?;
    subject.put_at(&keys[1], "newer", 50).await?;
    subject.remove_at(&keys[3], 50).await?;
    let items = keys.iter().map(|key| item(key, "put", 20)).collect();
    let outcomes = subject.backend().put_many(items, &subject.ctx).await?;
    let expected = [PutOutcome::Stored, PutOutcome::Fenced, PutOutcome::Stored, PutOutcome::Fenced];
    ensure_eq!(outcomes, expected, "outcomes");
    subject.expect(&keys[0], "put").await?;
    subject.expect(&keys[1], "newer").await?;
    subject.expect(&keys[2], "put").await?;
    subject.expect_miss(&keys[3]).await
}

async fn remove_many_fences_every_key(subject: Subject) -> Verdict {
    let keys = subject.keys(3)?;
    subject.put_at(&keys[0], "old", 10).await?;
    subject.backend().remove_many(&keys, Sequence(30), &subject.ctx).await?;
    for key in &keys {
        let outcome = subject.put_at(key, "late", 20).await?;
        ensure_eq!(outcome, PutOutcome::Fenced, "a late put under {key}");
        subject.expect_miss(key).await?;
        let outcome = subject.put_at(key, "new", 30).await?;
        ensure_eq!(outcome, PutOutcome::Stored, "a new put under {key}");
    }
    Ok(())
}
