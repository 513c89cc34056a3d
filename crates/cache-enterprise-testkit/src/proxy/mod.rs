//! A TCP proxy on the loopback that spoils what passes through it.
//!
//! It stands between a client and any server, and a test or a demonstration says at run time what
//! goes wrong. The server itself is not touched.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let proxy = TcpProxy::to(&server.local_addr()?.to_string());
//!
//! let mut client = TcpStream::connect(proxy.address())?;
//! let (mut served, _) = server.accept()?;
//! client.write_all(b"ping")?;
//! let mut bytes = [0; 4];
//! served.read_exact(&mut bytes)?;
//!
//! proxy.set(Fault::Reset);
//! assert!(client.read_exact(&mut bytes).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

mod connection;
mod fault;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

pub use fault::Fault;

/// Passes TCP connections on to one server, until told to spoil them; the module has an example.
///
/// It runs on a thread of its own, so it serves blocking and asynchronous clients alike and takes
/// no part in the paused clock of a test. Dropping it closes every connection.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    /// Dropped before the thread is waited for: that is how the thread hears of the end.
    fault: Option<watch::Sender<Option<Fault>>>,
    accepted: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl TcpProxy {
    /// A proxy to the server at `address`, such as `127.0.0.1:6379`, on a free port of 127.0.0.1.
    /// The server need not be there yet. Where a name has several addresses, each connection goes
    /// to the first that takes it.
    ///
    /// # Panics
    /// When `address` cannot be read or resolved, or the system gives no port or thread.
    pub fn to(address: &str) -> Self {
        Self::try_to(address).unwrap_or_else(|e| panic!("a proxy to {address}: {e}"))
    }

    /// As [`to`](Self::to), for a program that goes on without a proxy.
    ///
    /// # Errors
    /// When `address` cannot be read or resolved, or the system gives no port or thread.
    pub fn try_to(address: &str) -> io::Result<Self> {
        let server: Arc<[SocketAddr]> = address.to_socket_addrs()?.collect();
        if server.is_empty() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // Bound without `block_on`: the caller may be a task of another runtime.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (sender, fault) = watch::channel(None);
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let thread = std::thread::Builder::new()
            .name("tcp-proxy".to_owned())
            .spawn(move || serve(&runtime, &listener, &server, fault, &counter))?;
        Ok(TcpProxy { address, fault: Some(sender), accepted, thread: Some(thread) })
    }

    /// `127.0.0.1:PORT`, where clients connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on `fault` happens, in place of the one before. Open connections meet it at once.
    pub fn set(&self, fault: Fault) {
        self.tell(Some(fault));
    }

    /// From now on everything passes. What a fault has broken stays broken: see [`Fault`].
    pub fn heal(&self) {
        self.tell(None);
    }

    /// How many connections clients have opened since the start, those that a fault closed at once
    /// included.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Acquire)
    }

    fn tell(&self, fault: Option<Fault>) {
        let sender = self.fault.as_ref().expect("the sender lives as long as the proxy");
        sender.send_replace(fault);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        drop(self.fault.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; another one here would abort the test.
            let _ = thread.join();
        }
    }
}

/// Takes connections until the proxy is dropped; the runtime closes what is open.
fn serve(
    runtime: &Runtime,
    listener: &TcpListener,
    server: &Arc<[SocketAddr]>,
    mut fault: watch::Receiver<Option<Fault>>,
    accepted: &AtomicUsize,
) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                changed = fault.changed() => if changed.is_err() { return },
                client = listener.accept() => if let Ok((client, _)) = client {
                    accepted.fetch_add(1, Ordering::AcqRel);
                    welcome(client, server, &fault);
                },
            }
        }
    });
}

/// Turns a new connection away, or serves it beside the others.
fn welcome(client: TcpStream, server: &Arc<[SocketAddr]>, fault: &watch::Receiver<Option<Fault>>) {
    let now = *fault.borrow();
    match now {
        Some(Fault::DropNew | Fault::Close) => drop(client),
        Some(Fault::Reset) => connection::reset(client),
        _ => drop(tokio::spawn(connection::carry(client, Arc::clone(server), fault.clone()))),
    }
}
