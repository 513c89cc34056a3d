//! Connections of a pool, for calls that must have one to themselves: a `WAIT` answers for the
//! writes of its own connection, and a scan of a large server may keep one busy for long.
//!
//! Never on the way of a read: deadpool asks a connection whether it is well each time it hands
//! one out, which is a round trip.

use std::fmt;
use std::sync::Arc;

use cache_enterprise_core::{Error, Result};
use deadpool_redis::{Manager, Pool, PoolConfig, PoolError, Runtime, TimeoutType, Timeouts};
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, Pipeline, Value};
use tokio::time::timeout;

use super::door::Door;
use crate::address::Endpoint;
use crate::config::Limits;
use crate::error;
use crate::tls::Certificates;

/// The pool of the server that is the primary at the moment.
pub(crate) struct Bound {
    door: Arc<Door>,
    certificates: Option<Arc<Certificates>>,
    limits: Limits,
    pool: Mutex<State>,
}

enum State {
    None,
    Of(Endpoint, Pool),
    Closed,
}

impl Bound {
    pub(crate) fn new(
        door: Arc<Door>,
        certificates: Option<Arc<Certificates>>,
        limits: Limits,
    ) -> Self {
        Self { door, certificates, limits, pool: Mutex::new(State::None) }
    }

    /// Sends commands together over one connection; an answer each, in their order.
    pub(crate) async fn call_all(
        &self,
        endpoint: &Endpoint,
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value>>> {
        let pool = self.pool(endpoint).await?;
        let mut connection = match pool.get().await {
            Ok(connection) => connection,
            Err(fault) => {
                // Its login may be out of date; the next call begins with a new pool. One that is
                // full is none the worse, and another beside it would have no bound.
                if !matches!(fault, PoolError::Timeout(TimeoutType::Wait)) {
                    self.forget(&pool);
                }
                return Err(of_pool(&fault).with("server", endpoint));
            }
        };
        let within = self.limits.write_timeout;
        let answers = connection.req_packed_commands(commands, 0, commands.len());
        match timeout(within, answers).await {
            Ok(Ok(answers)) => Ok(answers.into_iter().map(settled).collect()),
            Ok(Err(fault)) => Err(error::from_redis(&fault).with("server", endpoint)),
            Err(_) => {
                // Its late reply must not meet the next call.
                drop(deadpool_redis::Connection::take(connection));
                Err(error::late("the server did not answer in time").with("server", endpoint))
            }
        }
    }

    async fn pool(&self, endpoint: &Endpoint) -> Result<Pool> {
        match &*self.pool.lock() {
            State::Closed => return Err(error::closed()),
            State::Of(at, pool) if at == endpoint => return Ok(pool.clone()),
            _ => {}
        }
        let pool = self.build(self.door.connection_info(endpoint).await?)?;
        let mut state = self.pool.lock();
        match &*state {
            State::Closed => Err(error::closed()),
            // Somebody was faster.
            State::Of(at, known) if at == endpoint => Ok(known.clone()),
            _ => {
                *state = State::Of(endpoint.clone(), pool.clone());
                Ok(pool)
            }
        }
    }

    fn build(&self, info: ConnectionInfo) -> Result<Pool> {
        let info = match &self.certificates {
            None => info,
            Some(certificates) => secured(info, certificates)?,
        };
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect_timeout))
            .set_response_timeout(None);
        let manager =
            Manager::new_with_config(info, timeouts).map_err(|fault| error::from_redis(&fault))?;
        let config = PoolConfig {
            max_size: self.limits.pool_size,
            timeouts: Timeouts {
                wait: Some(self.limits.write_timeout),
                create: Some(self.limits.connect_timeout),
                recycle: Some(self.limits.connect_timeout),
            },
            ..PoolConfig::default()
        };
        let built = Pool::builder(manager).config(config).runtime(Runtime::Tokio1).build();
        built.map_err(|_| Error::config("the pool of connections cannot be built"))
    }

    fn forget(&self, pool: &Pool) {
        let mut state = self.pool.lock();
        if matches!(&*state, State::Of(_, held) if std::ptr::eq(held.manager(), pool.manager())) {
            *state = State::None;
        }
    }

    pub(crate) fn close(&self) {
        if let State::Of(_, pool) = std::mem::replace(&mut *self.pool.lock(), State::Closed) {
            pool.close();
        }
    }
}

fn secured(info: ConnectionInfo, certificates: &Certificates) -> Result<ConnectionInfo> {
    let ConnectionAddr::Tcp(host, port) = info.addr().clone() else { return Ok(info) };
    let addr = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
    let client = Client::build_with_tls(info.set_addr(addr), certificates.for_client());
    Ok(client.map_err(|fault| error::from_redis(&fault))?.get_connection_info().clone())
}

fn settled(answer: Value) -> Result<Value> {
    match answer {
        Value::ServerError(fault) => Err(error::from_server(&fault)),
        value => Ok(value),
    }
}

fn of_pool(fault: &PoolError) -> Error {
    match fault {
        PoolError::Backend(fault) => error::from_redis(fault),
        PoolError::Timeout(TimeoutType::Wait) => Error::new(
            cache_enterprise_core::ErrorKind::Overloaded,
            "every connection of the pool is in use; raise pool_size",
        ),
        PoolError::Closed => error::closed(),
        _ => error::late("the server accepts no connection in time; check that it is up"),
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match &*self.pool.lock() {
            State::Of(_, pool) => Some(pool.status().size),
            State::None | State::Closed => None,
        };
        f.debug_struct("Bound").field("connections", &status).finish_non_exhaustive()
    }
}
