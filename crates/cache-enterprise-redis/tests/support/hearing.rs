//! A listener and what it was given.
#![allow(dead_code, reason = "each target uses its part")]

use std::collections::BTreeSet;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener, Touched};
use cache_enterprise_core::secs;
use tokio::time::timeout;

pub(crate) const MANAGER: &str = "shop";

/// Publishes `text`, again until it is acknowledged: a bus may fail while its server does.
pub(crate) async fn publish(bus: &dyn Bus, text: &str) {
    let frame = Bytes::copy_from_slice(text.as_bytes());
    while let Err(fault) = bus.publish(MANAGER, frame.clone()).await {
        assert!(fault.is_transient(), "{fault:?}");
        tokio::task::yield_now().await;
    }
}

/// One process's ear.
pub(crate) struct Ear {
    listener: Box<dyn Listener>,
    pub(crate) frames: BTreeSet<String>,
    /// How often it was told that frames are missing.
    pub(crate) losses: usize,
    /// Keys that somebody changed.
    pub(crate) touched: Vec<Touched>,
}

impl Ear {
    /// Listens, again until it may: a server may be late.
    pub(crate) async fn on(bus: &dyn Bus) -> Self {
        let listener = loop {
            match bus.listen(MANAGER).await {
                Ok(listener) => break listener,
                Err(fault) => assert!(fault.is_transient(), "{fault:?}"),
            }
            tokio::task::yield_now().await;
        };
        Self { listener, frames: BTreeSet::new(), losses: 0, touched: Vec::new() }
    }

    /// Takes what comes next.
    pub(crate) async fn next(&mut self) -> Heard {
        let heard = timeout(secs(60), self.listener.next()).await.expect("something is heard");
        match &heard {
            Heard::Frame(frame) | Heard::Pushed { frame, .. } => {
                self.frames.insert(String::from_utf8(frame.to_vec()).unwrap());
            }
            Heard::Lost => self.losses += 1,
            Heard::Touched(keys) => self.touched.extend(keys.iter().cloned()),
            Heard::Current { .. } => {}
        }
        heard
    }

    /// Takes what comes until everything that was published before this call was given, or its
    /// loss was told.
    pub(crate) async fn until_current(&mut self) {
        let called = std::time::Instant::now();
        loop {
            if let Heard::Current { age } = self.next().await
                && age < called.elapsed()
            {
                return;
            }
        }
    }

    #[track_caller]
    pub(crate) fn assert_heard(&self, texts: &[String]) {
        let missing: Vec<_> = texts.iter().filter(|text| !self.frames.contains(*text)).collect();
        assert!(
            missing.is_empty() || self.losses > 0,
            "{missing:?} is missing, and nobody said so"
        );
    }

    #[track_caller]
    pub(crate) fn assert_heard_all(&self, texts: &[String]) {
        self.assert_heard(texts);
        assert_eq!(self.losses, 0, "nothing had to be lost");
    }
}
