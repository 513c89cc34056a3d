//! What a chaotic backend does to its calls.

use std::time::Duration;

use cache_enterprise_core::ErrorKind;

/// What a [`ChaosBackend`](super::ChaosBackend) does to the calls that reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mode {
    /// Passes every call on.
    #[default]
    Healthy,
    /// Answers every call with an error of this kind; the backend behind it is not asked.
    Fail(ErrorKind),
    /// Answers nothing until the mode changes; then each waiting call goes on in the new mode.
    Hang,
    /// Waits this long on tokio's timer, then passes the call on.
    Slow(Duration),
    /// Flips one seeded bit in every value that is read and is not empty.
    Corrupt,
    /// Answers this share of the calls, from 0 to 1, with [`ErrorKind::Unavailable`].
    FailShare(f64),
}
