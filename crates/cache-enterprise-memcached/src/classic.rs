//! One server by the binary or the text protocol, with SASL where asked, on blocking threads.
//!
//! The classic client keeps connections in a pool that takes back what failed, with a reply still
//! on its way, and would hand it to the next caller. So a pool here is one connection, it belongs
//! to one call at a time, and one that failed is dropped.

use std::collections::HashMap;
use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Error, ErrorKind, Result};
use memcache::{Client, CommandError, ConnectionManager, MemcacheError, Pool, Url};
use parking_lot::Mutex;
use r2d2::{ManageConnection, NopErrorHandler};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::Semaphore;

use crate::address::Address;
use crate::change::{Answer, Change, Done, Step};
use crate::error;
use crate::limits::Limits;

/// Most names in one request: their text fits the buffers of the sockets while replies are written.
const NAMES_MAX: usize = 64;

/// How the classic client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Binary,
    Ascii,
}

/// One server. Cloning shares it.
#[derive(Clone)]
pub(crate) struct ClassicServer {
    link: Arc<Links>,
    permits: Arc<Semaphore>,
    /// Longest time a call may take on its thread.
    call_timeout: Duration,
}

struct Links {
    host: String,
    port: u16,
    server: String,
    dialect: Dialect,
    connect_timeout: Duration,
    /// Holds the password: never shown.
    url: Url,
    /// Makes and ends connections for the client's pools.
    threads: Arc<ScheduledThreadPool>,
    /// Connections that wait for work; `None` when the backend was closed.
    idle: Mutex<Option<Vec<Client>>>,
}

impl ClassicServer {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the client cannot carry user, password or host.
    pub(crate) fn new(
        address: &Address,
        dialect: Dialect,
        login: Option<(&str, &str)>,
        limits: &Limits,
        threads: Arc<ScheduledThreadPool>,
    ) -> Result<Self> {
        let links = Links {
            host: address.host.clone(),
            port: address.port,
            server: address.to_string(),
            dialect,
            connect_timeout: limits.connect_timeout,
            url: url(address, dialect, login, limits.read_timeout.max(limits.write_timeout))?,
            threads,
            idle: Mutex::new(Some(Vec::new())),
        };
        Ok(Self {
            link: Arc::new(links),
            permits: Arc::new(Semaphore::new(limits.pool_size)),
            call_timeout: limits.connect_timeout.saturating_add(limits.exchange_timeout()),
        })
    }

    /// What stands under each name, in their order.
    pub(crate) async fn read(&self, names: Vec<String>) -> Result<Vec<Option<Bytes>>> {
        self.call(move |links, client| links.read(client, &names)).await
    }

    /// Carries out a change of one name.
    pub(crate) async fn change(&self, name: String, mut change: Change<'static>) -> Result<Done> {
        self.call(move |links, client| links.change(client, &name, &mut change)).await
    }

    /// Whether the server answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        let version = |links: &Links, client: &Client| {
            client.version().map_err(|cause| error::from_classic(&links.server, cause))
        };
        self.call(version).await.map(drop)
    }

    /// Runs a call on a thread that may block. A caller that leaves, or whose time is over, leaves
    /// the call to end by itself; it holds its thread until then.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Links, &Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let waited =
            tokio::time::timeout(self.call_timeout, Arc::clone(&self.permits).acquire_owned());
        let permit = match waited.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(error::closed("call")),
            Err(_) => return Err(error::overloaded(&self.link.server)),
        };
        let links = Arc::clone(&self.link);
        let called = tokio::task::spawn_blocking(move || {
            let answer = links.with_client(call);
            drop(permit);
            answer
        });
        match tokio::time::timeout(self.call_timeout, called).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => {
                let text = "the call to the server did not finish";
                Err(error::at(&self.link.server, ErrorKind::Unavailable, text).source_error(ended))
            }
            Err(_) => Err(error::timeout(&self.link.server)),
        }
    }

    /// Lets go of every idle connection; later calls are told.
    pub(crate) fn close(&self) {
        self.permits.close();
        *self.link.idle.lock() = None;
    }
}

impl Links {
    fn with_client<T>(&self, call: impl FnOnce(&Self, &Client) -> Result<T>) -> Result<T> {
        let idle = match &mut *self.idle.lock() {
            Some(idle) => idle.pop(),
            None => return Err(error::closed("call")),
        };
        let client = match idle {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer = call(self, &client);
        match (&answer, &mut *self.idle.lock()) {
            (Ok(_), Some(idle)) => idle.push(client),
            // The others were made before the server fell silent or went away.
            (Err(_), Some(idle)) => idle.clear(),
            (_, None) => {}
        }
        answer
    }

    /// A client with one connection. Whether the server is there, and takes the password, is asked
    /// first: the client's pool would try again until its time is over, and then not say why.
    fn connect(&self) -> Result<Client> {
        self.reach()?;
        let manager = ConnectionManager::new(self.url.clone());
        if !self.url.username().is_empty() {
            manager.connect().map_err(|cause| self.failed(cause))?;
        }
        let pool = Pool::builder()
            .max_size(1)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(self.connect_timeout)
            .error_handler(Box::new(NopErrorHandler))
            .thread_pool(Arc::clone(&self.threads))
            .build_unchecked(manager);
        Client::with_pool(pool).map_err(|cause| self.failed(cause))
    }

    /// Connects within its time, which the client itself cannot, and hangs up.
    fn reach(&self) -> Result<()> {
        let failed = |cause| error::from_io(&self.server, cause);
        let mut last = None;
        for place in (self.host.as_str(), self.port).to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&place, self.connect_timeout) {
                Ok(_) => return Ok(()),
                Err(cause) => last = Some(cause),
            }
        }
        let nowhere = || std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(failed(last.unwrap_or_else(nowhere)))
    }

    fn read(&self, client: &Client, names: &[String]) -> Result<Vec<Option<Bytes>>> {
        if let [name] = names {
            let value: Option<Vec<u8>> = client.get(name).map_err(|cause| self.failed(cause))?;
            return Ok(vec![value.map(Bytes::from)]);
        }
        let mut found: HashMap<String, Bytes> = HashMap::with_capacity(names.len());
        for names in names.chunks(NAMES_MAX) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let values: HashMap<String, Vec<u8>> =
                client.gets(&names).map_err(|cause| self.failed(cause))?;
            found.extend(values.into_iter().map(|(name, value)| (name, value.into())));
        }
        Ok(names.iter().map(|name| found.get(name).cloned()).collect())
    }

    fn change(&self, client: &Client, name: &str, change: &mut Change<'_>) -> Result<Done> {
        let mut step = change.first();
        loop {
            let answer = match step {
                Step::Done(done) => return Ok(done),
                Step::Add(item) => {
                    let added = client.add(name, &item.bytes[..], item.expiry);
                    self.added(client, name, &item.bytes, added)?
                }
                Step::Swap(item, token) => {
                    match client.cas(name, &item.bytes[..], item.expiry, token) {
                        Ok(swapped) => Answer::Swapped(swapped),
                        Err(cause) => self.refused(cause)?,
                    }
                }
                Step::Read => Answer::Read(self.read_token(client, name)?),
            };
            step = change.after(answer)?;
        }
    }

    fn added(
        &self,
        client: &Client,
        name: &str,
        item: &Bytes,
        added: std::result::Result<(), MemcacheError>,
    ) -> Result<Answer> {
        match added {
            Ok(()) if self.dialect == Dialect::Binary => Ok(Answer::Added(true)),
            // By the text protocol the client calls it a success as well when something was there:
            // what stands now tells.
            Ok(()) => match self.read_token(client, name)? {
                Some((stands, _)) if stands == *item => Ok(Answer::Added(true)),
                stands => Ok(Answer::Read(stands)),
            },
            Err(MemcacheError::CommandError(CommandError::KeyExists)) => Ok(Answer::Added(false)),
            Err(cause) => self.refused(cause),
        }
    }

    fn read_token(&self, client: &Client, name: &str) -> Result<Option<(Bytes, u64)>> {
        let found: Option<(Vec<u8>, u32, Option<u64>)> =
            client.get(name).map_err(|cause| self.failed(cause))?;
        Ok(found.map(|(value, _, token)| (value.into(), token.unwrap_or(0))))
    }

    fn refused(&self, cause: MemcacheError) -> Result<Answer> {
        let failure = self.failed(cause);
        if failure.kind() == ErrorKind::TooLarge { Ok(Answer::TooLarge) } else { Err(failure) }
    }

    fn failed(&self, cause: MemcacheError) -> Error {
        error::from_classic(&self.server, cause)
    }
}

/// The client takes everything by URL.
fn url(
    address: &Address,
    dialect: Dialect,
    login: Option<(&str, &str)>,
    timeout: Duration,
) -> Result<Url> {
    let config = |text: &str| Error::config(text).with("backend", "memcached");
    let timeout = timeout.as_secs_f64();
    let dialect = match dialect {
        Dialect::Binary => "",
        Dialect::Ascii => "&protocol=ascii",
    };
    let mut url = Url::parse(&format!("memcache://{address}?timeout={timeout}{dialect}"))
        .map_err(|_| config("the classic client cannot take the host").with("server", address))?;
    if let Some((user, password)) = login {
        let is_set = url.set_username(user).is_ok() && url.set_password(Some(password)).is_ok();
        // The client sends what stands in the URL, escapes and all.
        let is_whole = url.username() == user && url.password() == Some(password);
        if !is_set || !is_whole || user.is_empty() || password.is_empty() {
            return Err(config(
                "user and password need at least one character each, and the client cannot carry \
                 spaces, control and non-ASCII characters nor any of \" # ' / : ; < = > ? @ [ \\ ] \
                 ^ ` { | }",
            ));
        }
    }
    Ok(url)
}

impl fmt::Debug for ClassicServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassicServer")
            .field("server", &self.link.server)
            .field("dialect", &self.link.dialect)
            .finish_non_exhaustive()
    }
}
