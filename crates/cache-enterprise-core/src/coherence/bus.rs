//! How processes tell each other what was invalidated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Sequence;
use crate::{Result, StoredKey};

/// Carries frames between the processes that share a manager's name.
///
/// A bus need not keep frames for ever, and may lose, double or reorder what it pushes. What it
/// may not do is keep silent about it: a listener that missed a frame hears it later, or hears
/// [`Heard::Lost`].
///
/// Contract:
/// * `publish` returns once the frame stands where every listener finds it: those that are cut
///   off at that moment hear the frame, or `Lost`, before they hear [`Heard::Current`] again.
/// * A process hears its own frames too; their source tells them apart.
/// * Frames of one manager are not heard by another.
/// * A bus that watches keys gives what it saw of them as [`Heard::Touched`], or `Lost`, before
///   the `Current` that covers the moment of the change.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::Result;
/// use cache_enterprise_core::coherence::{Bus, Heard};
///
/// /// The first frame that another process publishes.
/// async fn first(bus: &dyn Bus) -> Result<Bytes> {
///     let mut listener = bus.listen("shop").await?;
///     loop {
///         if let Heard::Frame(frame) = listener.next().await {
///             return Ok(frame);
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// What the bus is called in events and errors.
    fn name(&self) -> &str;

    /// Tells every process of `manager`.
    ///
    /// # Errors
    /// When the frame may not be where listeners find it. It may be heard all the same, and may
    /// be published again.
    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()>;

    /// As [`publish`](Self::publish), with values beside the frame for those that hear it as it is
    /// pushed. They are a favour, lost and not told of where a push is, and are never kept: who
    /// hears the frame later hears it without them. A bus that does not push leaves them out.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        let _ = values;
        self.publish(manager, frame).await
    }

    /// Starts to listen: everything published from now on is heard. Reconnects by itself.
    ///
    /// # Errors
    /// When the bus cannot be reached now.
    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>>;

    /// Ends the connections. Listeners hear nothing more.
    ///
    /// # Errors
    /// What kept the connections from ending in order.
    async fn close(&self) -> Result<()>;
}

#[async_trait]
impl<B: Bus + ?Sized> Bus for Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        (**self).publish(manager, frame).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        (**self).publish_with(manager, frame, values).await
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        (**self).listen(manager).await
    }

    async fn close(&self) -> Result<()> {
        (**self).close().await
    }
}

/// One process's ear on a [`Bus`].
#[async_trait]
pub trait Listener: fmt::Debug + Send {
    /// Waits for what comes next; for as long as it takes while the bus cannot be reached. A
    /// caller that gives up waiting loses nothing.
    async fn next(&mut self) -> Heard;
}

/// What a [`Listener`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody published this, perhaps the listener's own process.
    Frame(Bytes),
    /// Likewise, with what was given to [`Bus::publish_with`] beside it.
    Pushed {
        /// The frame.
        frame: Bytes,
        /// The values beside it.
        values: Bytes,
    },
    /// Everything published up to `age` ago was given. Comes several times a second while the bus
    /// can be heard.
    Current {
        /// How long ago the bus was asked, by a clock that only goes forward.
        age: Duration,
    },
    /// What lies under these keys was written or removed, perhaps by somebody who tells nobody.
    /// Given by a bus that watches the server of a level, where that was asked for.
    Touched(Vec<Touched>),
    /// Frames, or touched keys, may be missing that nobody can give any more.
    Lost,
}

/// A key whose value somebody changed.
///
/// ```
/// use cache_enterprise_core::coherence::Touched;
///
/// /// Whether an entry of ours stands there, whoever wrote it.
/// fn is_ours(touched: &Touched) -> bool {
///     touched.version.is_some()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The key as tiers store it.
    pub key: StoredKey,
    /// The version of the entry or removal that stands there now. `None` where nothing does, or
    /// nothing that was written by a level.
    pub version: Option<Sequence>,
}
