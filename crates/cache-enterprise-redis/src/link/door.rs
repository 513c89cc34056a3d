//! Opens connections: the primary is asked for, a socket connected, TLS agreed on, a login made.
//!
//! The socket is ours and not the client's, because the future that drives a connection must be
//! ours: dropping it is the only way to end calls that wait on a connection that hangs.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Error, Result};
use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::sentinel::{self, Votes};
use crate::address::Endpoint;
use crate::config::Login;
use crate::error;

/// Commands that may wait for the driver of a connection before a caller has to wait.
const QUEUE: usize = 1_024;

/// Where a server is found.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Fixed(Endpoint),
    /// The primary of this name, wherever it is at the moment.
    Primary {
        name: String,
        sentinels: Vec<Endpoint>,
        login: Login,
    },
}

/// Whether the kernel may hold a small command back while an earlier one is not acknowledged
/// (Nagle), which the reply to that one does. With many commands on their way this gathers them
/// and gains a fifth of the throughput; with one there is nothing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delays {
    May,
    /// The end of a large value must not wait for anything.
    MayNot,
}

/// Opens connections to one server.
pub(crate) struct Door {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) database: u32,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) connect_timeout: Duration,
}

/// Takes what a server sends unasked. What finds no room is lost; whether a key was named there
/// that was invalidated is noted.
#[derive(Clone, Debug)]
pub(crate) struct Pushes {
    room: mpsc::Sender<PushInfo>,
    has_missed_keys: Arc<AtomicBool>,
}

impl Pushes {
    pub(crate) fn new(room: mpsc::Sender<PushInfo>, has_missed_keys: Arc<AtomicBool>) -> Self {
        Self { room, has_missed_keys }
    }

    fn give(&self, push: PushInfo) -> std::result::Result<(), SendError> {
        let names_keys = push.kind == PushKind::Invalidate;
        self.room.try_send(push).map_err(|_| {
            if names_keys {
                self.has_missed_keys.store(true, Ordering::Release);
            }
            SendError
        })
    }
}

/// The future that carries commands and replies; dropped, it ends every call of its connection.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that is logged in.
pub(crate) struct Opened {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) driver: Driver,
    pub(crate) endpoint: Endpoint,
}

impl Door {
    /// Opens a connection within the connect timeout, whatever hangs: redis-rs #1953 is open, so
    /// nothing below is trusted to end by itself.
    pub(crate) async fn open(&self, delays: Delays) -> Result<Opened> {
        self.open_with(delays, None).await
    }

    /// As [`open`](Self::open); what the server pushes goes to `pushes`.
    pub(crate) async fn open_hearing(&self, pushes: Pushes) -> Result<Opened> {
        self.open_with(Delays::MayNot, Some(pushes)).await
    }

    async fn open_with(&self, delays: Delays, pushes: Option<Pushes>) -> Result<Opened> {
        let opened = timeout(self.connect_timeout, async {
            let endpoint = self.endpoint().await?;
            let (login, tls) = (&self.login, self.tls.as_ref());
            let opened = connect(&endpoint, tls, login, self.database, (delays, pushes)).await;
            let (connection, driver) = opened.map_err(|fault| fault.with("server", &endpoint))?;
            Ok(Opened { connection, driver, endpoint })
        });
        opened.await.unwrap_or_else(|_| {
            let text = "the server accepts no connection in time; check that it is Redis, and up";
            Err(error::late(text).with("server", &self.place))
        })
    }

    /// Asks one question over a connection of its own, within the connect timeout.
    pub(crate) async fn ask(&self, question: &redis::Cmd) -> Result<redis::Value> {
        let answered = timeout(self.connect_timeout, async {
            let Opened { mut connection, driver, endpoint } = self.open(Delays::MayNot).await?;
            let answer = tokio::select! {
                answer = connection.send_packed_command(question) => answer,
                () = driver => return Err(error::from_io(&io::ErrorKind::UnexpectedEof.into())),
            };
            let answer = match answer {
                Ok(redis::Value::ServerError(fault)) => Err(error::from_server(&fault)),
                Ok(answer) => Ok(answer),
                Err(fault) => Err(error::from_redis(&fault)),
            };
            answer.map_err(|fault| fault.with("server", &endpoint))
        });
        answered.await.unwrap_or_else(|_| {
            let text = "the server did not answer in time";
            Err(error::late(text).with("server", &self.place))
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let (name, sentinels, login) = match &self.place {
            Place::Fixed(endpoint) => return Ok(endpoint.clone()),
            Place::Primary { name, sentinels, login } => (name, sentinels, login),
        };
        // All at once, so that one that hangs holds nobody up; half of the time is for the server.
        let deadline = tokio::time::Instant::now() + self.connect_timeout / 2;
        let mut asked = JoinSet::new();
        for at in sentinels {
            let (at, name, login) = (at.clone(), name.clone(), login.clone());
            let tls = self.tls.clone();
            asked.spawn(async move { ask(&at, &name, &login, tls.as_ref()).await });
        }
        let mut votes = Votes::of(sentinels.len());
        while let Ok(Some(answer)) = timeout_at(deadline, asked.join_next()).await {
            // A task of ours does not panic; if one is lost, its sentinel did not answer.
            let Ok(answer) = answer else { continue };
            if let Some(primary) = votes.count(answer) {
                return Ok(primary);
            }
        }
        votes.most(name)
    }

    /// What the pool's client needs to know of the server at `endpoint`.
    pub(crate) async fn connection_info(&self, endpoint: &Endpoint) -> Result<ConnectionInfo> {
        let Endpoint { host, port } = endpoint.clone();
        let info = ConnectionAddr::Tcp(host, port)
            .into_connection_info()
            .map_err(|fault| error::from_redis(&fault))?;
        Ok(info.set_redis_settings(settings(&self.login, self.database).await?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(endpoint) => endpoint.fmt(f),
            Self::Primary { name, .. } => write!(f, "primary {}", name.escape_default()),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("place", &self.place)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

async fn ask(
    at: &Endpoint,
    name: &str,
    login: &Login,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Option<Endpoint>> {
    let (mut connection, driver) = connect(at, tls, login, 0, (Delays::MayNot, None)).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = tokio::select! {
        answer = connection.send_packed_command(&question) => answer,
        () = driver => return Err(error::from_io(&std::io::ErrorKind::UnexpectedEof.into())),
    };
    match answer {
        Ok(redis::Value::ServerError(fault)) => Err(error::from_server(&fault)),
        Ok(answer) => sentinel::named(&answer),
        Err(fault) => Err(error::from_redis(&fault)),
    }
}

async fn connect(
    endpoint: &Endpoint,
    tls: Option<&Arc<ClientConfig>>,
    login: &Login,
    database: u32,
    (delays, pushes): (Delays, Option<Pushes>),
) -> Result<(MultiplexedConnection, Driver)> {
    let settings = settings(login, database).await?;
    let socket = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|fault| error::from_io(&fault))?;
    socket.set_nodelay(delays == Delays::MayNot).map_err(|fault| error::from_io(&fault))?;
    let Some(tls) = tls else { return log_in(socket, &settings, pushes).await };
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| {
        Error::config("a certificate cannot be checked for this name; write a host name")
    })?;
    let secured = TlsConnector::from(Arc::clone(tls)).connect(name, socket).await;
    log_in(secured.map_err(|fault| error::from_io(&fault))?, &settings, pushes).await
}

async fn log_in<S>(
    stream: S,
    settings: &RedisConnectionInfo,
    pushes: Option<Pushes>,
) -> Result<(MultiplexedConnection, Driver)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Deadlines are kept by the pulse and by the calls, not by a timer for each command.
    let mut config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    if let Some(pushes) = pushes {
        // One that finds no room is lost, and its listener sees the gap.
        config = config.set_push_sender(move |push| pushes.give(push));
    }
    let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, config)
        .await
        .map_err(|fault| error::from_redis(&fault))?;
    Ok((connection, Box::pin(driver)))
}

/// Reading a secret may read a file, which blocks.
async fn settings(login: &Login, database: u32) -> Result<RedisConnectionInfo> {
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("cache-enterprise", env!("CARGO_PKG_VERSION"))
        .set_db(i64::from(database));
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    let Some(secret) = login.password.clone() else { return Ok(settings) };
    let read = tokio::task::spawn_blocking(move || {
        let mut seen = Ok(settings.clone());
        secret.reveal(&mut |password| {
            seen = std::str::from_utf8(password)
                .map(|password| settings.clone().set_password(password))
                .map_err(|_| Error::config("the password is no UTF-8 text, which Redis needs"));
        })?;
        seen
    });
    read.await.map_err(|_| error::late("the password could not be read"))?
}
