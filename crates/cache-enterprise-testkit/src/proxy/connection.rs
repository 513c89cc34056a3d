//! One connection through the proxy.
//!
//! Requests and replies flow through a [`Pump`] each, which asks before every step which fault
//! holds. A pump reads ahead of what it writes, up to a bound, so that replies can be late without
//! being fewer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::fault::Fault;

type Faults = watch::Receiver<Option<Fault>>;

/// Bytes a pump holds before it stops to read.
const HELD: usize = 256 * 1024;
const CHUNK: usize = 16 * 1024;

/// How a connection ends when a fault ends it.
#[derive(Debug)]
enum End {
    Close,
    Reset,
    /// It does not end: the client is left with a connection nobody is behind.
    Silence,
}

impl From<io::Error> for End {
    /// One side tore its connection; so is the other's.
    fn from(_: io::Error) -> Self {
        End::Reset
    }
}

/// Serves `client` until one side or a fault ends the connection.
pub(super) async fn carry(mut client: TcpStream, server: Arc<[SocketAddr]>, mut faults: Faults) {
    let end = match carry_until(&mut client, &server, &mut faults).await {
        Ok(()) => End::Close,
        Err(end) => end,
    };
    match end {
        // Bytes nobody has read would turn a plain close into an error; the end is told before.
        End::Close => drop(client.shutdown().await),
        End::Reset => reset(client),
        End::Silence => match pending::<Infallible>().await {},
    }
}

/// Closes `client` in the way that tells it of an error.
pub(super) fn reset(client: TcpStream) {
    // A client that is gone already has no need to be told.
    let _ = client.set_zero_linger();
}

async fn carry_until(
    client: &mut TcpStream,
    server: &[SocketAddr],
    faults: &mut Faults,
) -> Result<(), End> {
    wait_for_passage(client, faults).await?;
    let mut server = TcpStream::connect(server).await?;
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let requests = Pump::new(from_client, to_server, Way::Requests, faults.clone());
    let replies = Pump::new(from_server, to_client, Way::Replies, faults.clone());
    tokio::try_join!(requests.run(), replies.run()).map(|_| ())
}

/// Holds a client that came during a fault under which it reaches no server.
async fn wait_for_passage(client: &mut TcpStream, faults: &mut Faults) -> Result<(), End> {
    let mut swallowed = false;
    let mut bytes = [0; 1024];
    loop {
        let fault = *faults.borrow_and_update();
        match fault {
            Some(Fault::BlackHole) => tokio::select! {
                changed = faults.changed() => changed.map_err(|_| End::Close)?,
                read = client.read(&mut bytes) => match read? {
                    0 => return Err(End::Close),
                    _ => swallowed = true,
                },
            },
            _ if swallowed => return Err(End::Close),
            Some(Fault::Stall) => faults.changed().await.map_err(|_| End::Close)?,
            Some(Fault::HalfOpen) => return Err(End::Silence),
            _ => return Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Requests,
    Replies,
}

/// Moves bytes one way.
#[derive(Debug)]
struct Pump<R, W> {
    from: R,
    to: W,
    way: Way,
    faults: Faults,
    fault: Option<Fault>,
    /// What was read and not yet written, each part with the time from which it may pass.
    held: VecDeque<(Instant, Vec<u8>)>,
    held_bytes: usize,
    /// The sender has said all.
    is_over: bool,
    /// Bytes were swallowed: what follows makes no sense to the receiver.
    is_torn: bool,
    /// Bytes written since the fault was set.
    passed: usize,
    /// When the next portion of a slow drip may pass.
    next_portion: Instant,
}

/// What a pump does next.
enum Step {
    Fault,
    Read(usize),
    Written(usize),
    TimeCame,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pump<R, W> {
    fn new(from: R, to: W, way: Way, faults: Faults) -> Self {
        Pump {
            from,
            to,
            way,
            faults,
            fault: None,
            held: VecDeque::new(),
            held_bytes: 0,
            is_over: false,
            is_torn: false,
            passed: 0,
            next_portion: Instant::now(),
        }
    }

    /// Runs until the sender has said all and the receiver has it.
    async fn run(mut self) -> Result<(), End> {
        self.meet_fault()?;
        let mut chunk = vec![0; CHUNK];
        while !self.is_done() {
            match self.step(&mut chunk).await? {
                Step::Fault => self.meet_fault()?,
                Step::Read(0) => self.end_of_input(),
                Step::Read(count) => self.hold(&chunk[..count]),
                Step::Written(count) => self.release(count)?,
                Step::TimeCame => {}
            }
        }
        self.to.shutdown().await?;
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_hidden = matches!(self.fault, Some(Fault::Stall | Fault::BlackHole));
        self.is_over && self.held.is_empty() && !is_hidden
    }

    async fn step(&mut self, chunk: &mut [u8]) -> Result<Step, End> {
        let now = Instant::now();
        let moves = self.fault != Some(Fault::Stall);
        let reads = moves && !self.is_over && self.held_bytes < HELD;
        let due = self.held.front().map(|(due, _)| (*due).max(self.next_portion));
        let writes = moves && due.is_some_and(|due| due <= now);
        let waits = moves && due.is_some_and(|due| due > now);
        let portion = self.portion();
        let front = self.held.front().map_or(&[][..], |(_, bytes)| bytes);
        let front = &front[..front.len().min(portion)];
        tokio::select! {
            changed = self.faults.changed() => {
                changed.map(|()| Step::Fault).map_err(|_| End::Close)
            }
            read = self.from.read(chunk), if reads => Ok(Step::Read(read?)),
            written = self.to.write(front), if writes => Ok(Step::Written(written?)),
            () = sleep_until(due.unwrap_or(now)), if waits => Ok(Step::TimeCame),
        }
    }

    /// Takes in what holds now, and ends the connection when the fault does.
    fn meet_fault(&mut self) -> Result<(), End> {
        self.fault = *self.faults.borrow_and_update();
        self.passed = 0;
        self.next_portion = Instant::now();
        match self.fault {
            Some(Fault::Close) => return Err(End::Close),
            Some(Fault::Reset) => return Err(End::Reset),
            Some(Fault::HalfOpen) => return Err(End::Silence),
            Some(Fault::BlackHole) => {
                self.is_torn |= !self.held.is_empty();
                self.held.clear();
                self.held_bytes = 0;
            }
            _ if self.is_torn => return Err(End::Close),
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.fault == Some(Fault::BlackHole) {
            self.is_torn = true;
            return;
        }
        let delay = match self.fault {
            Some(Fault::Latency(delay)) if self.way == Way::Replies => delay,
            _ => Duration::ZERO,
        };
        self.held.push_back((Instant::now() + delay, bytes.to_vec()));
        self.held_bytes += bytes.len();
    }

    /// The sender has said all. In a black hole nobody hears of that either, until the fault ends.
    fn end_of_input(&mut self) {
        self.is_over = true;
        self.is_torn |= self.fault == Some(Fault::BlackHole);
    }

    /// How many bytes may pass in one go.
    fn portion(&self) -> usize {
        match self.fault {
            Some(Fault::SlowDrip { bytes, .. }) if self.way == Way::Replies => bytes.max(1),
            Some(Fault::ResetAfter { reply_bytes }) if self.way == Way::Replies => {
                reply_bytes.saturating_sub(self.passed)
            }
            _ => usize::MAX,
        }
    }

    fn release(&mut self, count: usize) -> Result<(), End> {
        if let Some((_, front)) = self.held.front_mut() {
            front.drain(..count);
            if front.is_empty() {
                self.held.pop_front();
            }
        }
        self.held_bytes -= count;
        self.passed += count;
        match self.fault {
            Some(Fault::SlowDrip { every, .. }) if self.way == Way::Replies => {
                self.next_portion = Instant::now() + every;
            }
            Some(Fault::ResetAfter { reply_bytes })
                if self.way == Way::Replies && self.passed >= reply_bytes =>
            {
                return Err(End::Reset);
            }
            _ => {}
        }
        Ok(())
    }
}
