//! What can go wrong between a client and its server.

use std::time::Duration;

/// What a [`TcpProxy`](super::TcpProxy) does to its connections.
///
/// | fault | open connections | new connections | after `heal` |
/// |---|---|---|---|
/// | `Latency` | replies arrive later | the same | pass again |
/// | `SlowDrip` | replies arrive in crumbs | the same | pass again |
/// | `Stall` | nothing moves, nothing is lost | the same | go on where they stood |
/// | `BlackHole` | all is swallowed | accepted and swallowed | closed when they lost a byte |
/// | `HalfOpen` | nobody is at the other end | accepted, nobody is there | stay silent for ever |
/// | `DropNew` | pass | accepted and closed | pass |
/// | `Close` | end in order (FIN) | accepted and closed | pass when opened anew |
/// | `Reset` | torn (RST) | accepted and torn | pass when opened anew |
/// | `ResetAfter` | torn in the middle of a reply | the same | pass when opened anew |
///
/// No program can refuse a connection on a port on which it listens, so what is turned away has
/// been accepted first. To see a refusal, kill the server itself.
///
/// ```
/// use std::time::Duration;
/// use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
///
/// let proxy = TcpProxy::to("127.0.0.1:6379");
/// proxy.set(Fault::Latency(Duration::from_millis(20)));
/// proxy.set(Fault::ResetAfter { reply_bytes: 3 });
/// proxy.heal();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Every reply arrives this much later; their order and their rate stay.
    Latency(Duration),
    /// Replies pass `bytes` at a time, one portion each time `every` has passed.
    SlowDrip {
        /// Bytes of a portion; 0 counts as 1.
        bytes: usize,
        /// Time from portion to portion.
        every: Duration,
    },
    /// Nothing is read from either side, as if a cable were out: bytes wait in the buffers of the
    /// system and pass after the end of the fault.
    Stall,
    /// Requests are read and thrown away, replies too: whoever waits for one waits in vain.
    BlackHole,
    /// The server is gone and nobody told the client: its connection stands, and nothing is read
    /// from it any more.
    HalfOpen,
    /// Connections that stand go on; new ones are closed as soon as they are open.
    DropNew,
    /// Every connection is closed in good order, and new ones as soon as they are open.
    Close,
    /// Every connection is torn (RST), and new ones as soon as they are open.
    Reset,
    /// A connection is torn (RST) once so many bytes of replies have passed through it since the
    /// fault was set: with a number smaller than a reply, in its middle.
    ResetAfter {
        /// Bytes of replies that still pass.
        reply_bytes: usize,
    },
}
