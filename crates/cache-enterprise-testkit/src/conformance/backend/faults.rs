//! What errors and debug texts may say.

use bytes::Bytes;
use cache_enterprise_core::{Error, Put, Sequence, secs};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Verdict, ensure};
use crate::conformance::hostile::{SECRET, expect_no_secret, shows_secret};

cases! {
    needs [] => [
        no_error_of_a_closed_backend_shows_a_value,
        an_error_names_its_operation_or_backend,
        the_debug_text_shows_no_value,
        the_health_text_shows_no_value,
    ]
    needs [Need::ValueLimit] => [
        no_error_about_a_size_shows_a_value,
    ]
}

/// The errors that a closed backend gives to every call that carries a value.
async fn errors_when_closed(subject: &Subject) -> Result<Vec<Error>, Error> {
    let key = subject.space.key(&String::from("secret"))?;
    let backend = subject.backend();
    backend.put(&key, SECRET.into(), Put::default(), &subject.ctx).await?;
    backend.close().await?;
    let items = vec![(key.clone(), Bytes::from(SECRET), Put::default())];
    let errors = [
        backend.put(&key, SECRET.into(), Put::default(), &subject.ctx).await.err(),
        backend.put_many(items, &subject.ctx).await.err(),
        backend.get(&key, &subject.ctx).await.err(),
        backend.remove(&key, Sequence::ZERO, &subject.ctx).await.err(),
        backend.touch(&key, secs(1), &subject.ctx).await.err(),
    ];
    Ok(errors.into_iter().flatten().collect())
}

async fn no_error_of_a_closed_backend_shows_a_value(subject: Subject) -> Verdict {
    let errors = errors_when_closed(&subject).await?;
    ensure!(!errors.is_empty(), "a closed backend answers every call");
    for error in errors {
        expect_no_secret(&error)?;
    }
    Ok(())
}

async fn an_error_names_its_operation_or_backend(subject: Subject) -> Verdict {
    for error in errors_when_closed(&subject).await? {
        let text = error.to_string();
        let is_named = text.contains(&subject.name()) || text.contains(": ");
        ensure!(is_named, "nobody can tell where this comes from: {text}");
        ensure!(!text.ends_with('.'), "the text ends with a full stop: {text}");
    }
    Ok(())
}

async fn the_debug_text_shows_no_value(subject: Subject) -> Verdict {
    subject.put(&subject.key("secret")?, SECRET).await?;
    ensure!(!shows_secret(&format!("{:?}", subject.backend())), "the debug text shows a value");
    Ok(())
}

async fn the_health_text_shows_no_value(subject: Subject) -> Verdict {
    subject.put(&subject.key("secret")?, SECRET).await?;
    let up = format!("{:?}", subject.backend().health().await);
    subject.backend().close().await?;
    let closed = format!("{:?}", subject.backend().health().await);
    ensure!(!shows_secret(&up) && !shows_secret(&closed), "the health text shows a value");
    Ok(())
}

async fn no_error_about_a_size_shows_a_value(subject: Subject) -> Verdict {
    let limit = subject.capabilities().value_bytes_max.unwrap_or_default();
    let key = subject.key("secret")?;
    let value = SECRET.repeat(limit / SECRET.len() + 1);
    if let Err(error) =
        subject.backend().put(&key, value.into(), Put::default(), &subject.ctx).await
    {
        expect_no_secret(&error)?;
    }
    Ok(())
}
