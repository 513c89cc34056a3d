//! A dictionary that was lost or damaged costs misses, and the cache mends by writing anew.

use bytes::Bytes;
use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{Clock, ErrorKind, secs};

use crate::learned::{ENOUGH, SESSIONS, all_there, fill, kept, lose, process, session, trained};
use crate::tier;

#[tokio::test]
async fn a_lost_one_costs_misses_until_values_are_written_anew() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    drop(trained(&clock, &shelf).await);
    lose(&shelf);
    let manager = process(&clock, &shelf).await;
    let sessions = manager.open(&SESSIONS).unwrap();
    for key in 1_000..1_050 {
        assert!(sessions.get(&key).await.unwrap().is_none(), "{key}");
    }
    assert_eq!((sessions.stats().undecodable, manager.dictionary_stats().missing), (50, 1));
    assert_eq!(sessions.get_strict(&1_000).await.unwrap_err().kind(), ErrorKind::Codec);
    let value = sessions.get_with(&1_000, || async { session(1_000) }).await;
    assert_eq!(*value, session(1_000));
    // What is written now is read by all, and enough of it is learned from.
    fill(&sessions, 1_001..1_001 + ENOUGH, session).await;
    manager.tend_dictionaries().await;
    assert_eq!(manager.dictionary_stats().trained, 1);
    fill(&sessions, 4_000..4_100, session).await;
    let reader = process(&clock, &shelf).await.open(&SESSIONS).unwrap();
    assert!(all_there(&reader, 1_000..1_100, session).await);
    assert!(all_there(&reader, 4_000..4_100, session).await);
}

#[tokio::test]
async fn a_damaged_one_is_refused_and_no_error_and_the_writer_puts_it_back() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let (writer, sessions) = trained(&clock, &shelf).await;
    let (place, dictionary) = kept(&shelf).remove(0);
    for damage in 0..4 {
        let mut bytes = shelf.values.lock()[&place].0.to_vec();
        match damage {
            0 => bytes[100] ^= 1,
            1 => bytes.truncate(50),
            2 => bytes = b"no envelope".to_vec(),
            // Whole, and another dictionary than its number says.
            _ => {
                let sealed = Bytes::from(bytes);
                let mut envelope = Envelope::open(&sealed, &place, None, &Limits::default());
                let envelope = envelope.as_mut().unwrap();
                envelope.body.payload = dictionary.slice(..dictionary.len() - 1);
                envelope.body.plain_len -= 1;
                bytes = envelope.seal(&place, None).unwrap().to_vec();
            }
        }
        shelf.values.lock().get_mut(&place).unwrap().0 = bytes.into();
        let reader = process(&clock, &shelf).await;
        let cache = reader.open(&SESSIONS).unwrap();
        assert!(cache.get(&1_000).await.unwrap().is_none(), "{damage}");
        assert_eq!(reader.dictionary_stats().refused, 1, "{damage}");
        // The writer uses it, and puts it back within a minute.
        clock.advance(secs(61));
        fill(&sessions, 1_000..1_010, session).await;
        writer.tend_dictionaries().await;
        assert_eq!(kept(&shelf)[0].1, dictionary);
        assert!(all_there(&cache, 1_000..1_010, session).await, "{damage}");
    }
}
