//! Get, put and remove of one key.

use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{BackendHealth, MIB, OpContext, ms};

use super::cases;
use super::subject::{Need, Subject};
use super::values::whole;
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_missing_key_is_a_miss,
        a_put_value_is_read_back,
        a_put_replaces_the_value,
        a_remove_leaves_a_miss_and_says_it_was_there,
        a_remove_of_a_missing_key_says_so,
        a_second_remove_finds_nothing,
        a_removed_key_can_be_put_again,
        an_empty_value_is_a_value,
        every_byte_comes_back,
        a_value_of_one_mebibyte_comes_back,
        a_shorter_value_leaves_nothing_of_a_longer_one,
        equal_values_under_two_keys_are_two_entries,
        a_read_value_stays_readable_when_its_key_changes,
        a_timeout_in_the_context_changes_no_answer,
        the_name_is_short_and_plain,
        the_capabilities_stay_the_same,
        a_fresh_backend_is_healthy,
    ]
    needs [Need::ValueLimit] => [
        a_value_at_the_limit_is_taken,
    ]
}

async fn a_missing_key_is_a_miss(subject: Subject) -> Verdict {
    subject.expect_miss(&subject.key("nobody")?).await
}

async fn a_put_value_is_read_back(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    subject.expect(&key, "Ada").await?;
    subject.expect(&key, "Ada").await
}

async fn a_put_replaces_the_value(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    subject.put(&key, "Grace").await?;
    subject.expect(&key, "Grace").await
}

async fn a_remove_leaves_a_miss_and_says_it_was_there(subject: Subject) -> Verdict {
    let (key, other) = (subject.key("user")?, subject.key("other")?);
    subject.put(&key, "Ada").await?;
    subject.put(&other, "Grace").await?;
    ensure!(subject.remove(&key).await?, "the key was there");
    subject.expect_miss(&key).await?;
    subject.expect(&other, "Grace").await
}

async fn a_remove_of_a_missing_key_says_so(subject: Subject) -> Verdict {
    ensure!(!subject.remove(&subject.key("nobody")?).await?, "the key was never there");
    Ok(())
}

async fn a_second_remove_finds_nothing(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    ensure!(subject.remove(&key).await?, "the key was there");
    ensure!(!subject.remove(&key).await?, "the key was already removed");
    Ok(())
}

async fn a_removed_key_can_be_put_again(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    for round in 0..3_u64 {
        subject.put(&key, whole(round, 64)).await?;
        subject.expect(&key, whole(round, 64)).await?;
        ensure!(subject.remove(&key).await?, "the key was there in round {round}");
        subject.expect_miss(&key).await?;
    }
    Ok(())
}

async fn an_empty_value_is_a_value(subject: Subject) -> Verdict {
    let key = subject.key("empty")?;
    subject.put(&key, Bytes::new()).await?;
    subject.expect(&key, Bytes::new()).await?;
    let found = subject.get_many(std::slice::from_ref(&key)).await?;
    ensure_eq!(found, [Some(Bytes::new())], "read in a batch");
    ensure!(subject.remove(&key).await?, "an empty value was there");
    subject.expect_miss(&key).await
}

async fn every_byte_comes_back(subject: Subject) -> Verdict {
    let key = subject.key("bytes")?;
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    subject.put(&key, all.clone()).await?;
    subject.expect(&key, all).await
}

async fn a_value_of_one_mebibyte_comes_back(subject: Subject) -> Verdict {
    let key = subject.key("large")?;
    let limit = subject.capabilities().value_bytes_max.unwrap_or(usize::MAX);
    let value = whole(1, limit.min(MIB as usize));
    subject.put(&key, value.clone()).await?;
    ensure!(subject.get(&key).await? == Some(value), "a large value came back changed");
    Ok(())
}

async fn a_shorter_value_leaves_nothing_of_a_longer_one(subject: Subject) -> Verdict {
    let key = subject.key("shrinking")?;
    for len in [8_192, 1_024, 100, 16] {
        subject.put(&key, whole(len, len as usize)).await?;
        subject.expect(&key, whole(len, len as usize)).await?;
    }
    Ok(())
}

async fn equal_values_under_two_keys_are_two_entries(subject: Subject) -> Verdict {
    let (one, two) = (subject.key("one")?, subject.key("two")?);
    subject.put(&one, "same").await?;
    subject.put(&two, "same").await?;
    subject.remove(&one).await?;
    subject.expect_miss(&one).await?;
    subject.expect(&two, "same").await
}

async fn a_read_value_stays_readable_when_its_key_changes(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, whole(1, 4_096)).await?;
    let read = subject.get(&key).await?;
    subject.put(&key, whole(2, 4_096)).await?;
    subject.remove(&key).await?;
    ensure!(read == Some(whole(1, 4_096)), "the bytes in hand changed");
    Ok(())
}

/// However little time the caller has: a value that is there is never called a miss.
async fn a_timeout_in_the_context_changes_no_answer(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    for timeout in [Duration::ZERO, Duration::from_nanos(1), ms(10_000), Duration::MAX] {
        let ctx = OpContext { timeout: Some(timeout) };
        match subject.backend().get(&key, &ctx).await {
            Ok(found) => ensure_eq!(found, Some(Bytes::from("Ada")), "within {timeout:?}"),
            Err(error) => ensure!(error.is_transient(), "within {timeout:?}: {error:?}"),
        }
    }
    subject.expect(&key, "Ada").await
}

async fn the_name_is_short_and_plain(subject: Subject) -> Verdict {
    let name = subject.name();
    let is_plain =
        name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'));
    ensure!(!name.is_empty() && name.len() <= 64 && is_plain, "the name is {name:?}");
    ensure_eq!(subject.backend().name(), name, "the name asked again");
    Ok(())
}

async fn the_capabilities_stay_the_same(subject: Subject) -> Verdict {
    let before = subject.capabilities();
    let key = subject.key("user")?;
    subject.put(&key, "Ada").await?;
    subject.remove(&key).await?;
    ensure_eq!(subject.capabilities(), before, "capabilities after some calls");
    subject.backend().close().await?;
    ensure_eq!(subject.capabilities(), before, "capabilities after the close");
    Ok(())
}

async fn a_fresh_backend_is_healthy(subject: Subject) -> Verdict {
    ensure_eq!(subject.backend().health().await, BackendHealth::Up, "health");
    Ok(())
}

async fn a_value_at_the_limit_is_taken(subject: Subject) -> Verdict {
    let limit = subject.capabilities().value_bytes_max.unwrap_or_default();
    let key = subject.key("limit")?;
    let value = Bytes::from(vec![7; limit]);
    subject.put(&key, value.clone()).await?;
    ensure!(subject.get(&key).await? == Some(value), "a value of {limit} bytes came back changed");
    Ok(())
}
