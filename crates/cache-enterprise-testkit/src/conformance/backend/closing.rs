//! The end of a backend.

use bytes::Bytes;
use cache_enterprise_core::{Error, ErrorKind, Put, Sequence, secs};
use tokio::task::JoinSet;

use super::cases;
use super::subject::{Need, Subject};
use super::values::{number_of, whole};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        closing_twice_is_no_error,
        closing_from_many_tasks_is_no_error,
        a_get_after_the_close_says_closed,
        a_put_after_the_close_says_closed,
        a_remove_after_the_close_says_closed,
        batches_after_the_close_say_closed,
        a_closed_backend_still_tells_its_name_and_health,
        a_close_among_calls_breaks_none_of_them,
    ]
    needs [Need::Touch] => [a_touch_after_the_close_says_closed]
    needs [Need::Swap] => [a_swap_after_the_close_says_closed]
    needs [Need::Scan] => [a_scan_after_the_close_says_closed]
    needs [Need::ClearPrefix] => [a_clear_after_the_close_says_closed]
}

async fn close(subject: &Subject) -> Verdict {
    subject.put(&subject.key("user")?, "Ada").await?;
    Ok(subject.backend().close().await?)
}

fn expect_closed<T: std::fmt::Debug>(answer: Result<T, Error>) -> Verdict {
    match answer {
        Ok(answer) => Err(Failure(format!("a closed backend answers {answer:?}"))),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Closed, "kind of the error");
            Ok(())
        }
    }
}

async fn closing_twice_is_no_error(subject: Subject) -> Verdict {
    close(&subject).await?;
    subject.backend().close().await?;
    Ok(subject.backend().close().await?)
}

async fn closing_from_many_tasks_is_no_error(subject: Subject) -> Verdict {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let backend = subject.backend();
        tasks.spawn(async move { backend.close().await });
    }
    for closed in tasks.join_all().await {
        closed?;
    }
    Ok(())
}

async fn a_get_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let backend = subject.backend();
    expect_closed(backend.get(&subject.key("user")?, &subject.ctx).await)?;
    expect_closed(backend.get(&subject.key("missing")?, &subject.ctx).await)
}

async fn a_put_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let key = subject.key("user")?;
    expect_closed(subject.backend().put(&key, "late".into(), Put::default(), &subject.ctx).await)
}

async fn a_remove_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let key = subject.key("user")?;
    expect_closed(subject.backend().remove(&key, Sequence::ZERO, &subject.ctx).await)
}

async fn batches_after_the_close_say_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let (backend, keys) = (subject.backend(), subject.keys(3)?);
    let item = |key: &_| (Clone::clone(key), Bytes::from("late"), Put::default());
    let items = keys.iter().map(item).collect();
    expect_closed(backend.get_many(&keys, &subject.ctx).await)?;
    expect_closed(backend.put_many(items, &subject.ctx).await)?;
    expect_closed(backend.remove_many(&keys, Sequence::ZERO, &subject.ctx).await)
}

async fn a_touch_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let key = subject.key("user")?;
    expect_closed(subject.backend().touch(&key, secs(1), &subject.ctx).await)
}

async fn a_swap_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    let (key, backend, how) = (subject.key("user")?, subject.backend(), Put::default());
    let late = backend.swap(&key, "late".into(), how, Sequence::ZERO, &subject.ctx).await;
    expect_closed(late)?;
    // Nor is it compared with what the closed backend held, or weighed.
    let large = Bytes::from(vec![7; subject.too_large().unwrap_or_default()]);
    expect_closed(backend.swap(&key, large, how, Sequence(5), &subject.ctx).await)
}

async fn a_scan_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    expect_closed(subject.backend().scan(&subject.prefix(), None, 10).await)
}

async fn a_clear_after_the_close_says_closed(subject: Subject) -> Verdict {
    close(&subject).await?;
    expect_closed(subject.backend().clear_prefix(&subject.prefix()).await)
}

async fn a_closed_backend_still_tells_its_name_and_health(subject: Subject) -> Verdict {
    let name = subject.name();
    close(&subject).await?;
    ensure_eq!(subject.name(), name, "name after the close");
    // Any health will do; what matters is that the question ends.
    subject.backend().health().await;
    Ok(())
}

/// A call that overlaps the close gets its answer or [`ErrorKind::Closed`]; nothing in between.
async fn a_close_among_calls_breaks_none_of_them(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, whole(0, 100)).await?;
    let mut tasks = JoinSet::new();
    for worker in 0..8_u64 {
        let (subject, key) = (subject.clone(), key.clone());
        tasks.spawn(async move {
            for step in 0..50 {
                let value = whole(worker * 50 + step, 100);
                let backend = subject.backend();
                let put = backend.put(&key, value, Put::default(), &subject.ctx).await;
                let found = match put {
                    Ok(_) => backend.get(&key, &subject.ctx).await,
                    Err(error) => Err(error),
                };
                match found {
                    Ok(found) => {
                        let is_whole = found.as_ref().and_then(number_of).is_some();
                        ensure!(is_whole, "a value went missing while others close");
                    }
                    Err(error) => return expect_closed::<()>(Err(error)),
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    tokio::task::yield_now().await;
    subject.backend().close().await?;
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure(format!("a task ended early: {error}")))??;
    }
    expect_closed(subject.backend().get(&key, &subject.ctx).await)
}
