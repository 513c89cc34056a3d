//! The servers that backend, epochs, leases and bus share, and how they are called.

use std::sync::Arc;

use cache_enterprise_core::{Error, Result};
use redis::Value;

use crate::config::{Limits, Redis};
use crate::error;
use crate::functions::{self, Functions, Invoke};
use crate::link::Link;

/// One topology, its functions and its limits.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) link: Link,
    pub(crate) functions: Functions,
    pub(crate) limits: Limits,
    pub(crate) database: u32,
    /// Life of a removal as functions take it.
    pub(crate) removal: String,
}

impl Servers {
    /// Starts to connect.
    pub(crate) async fn new(redis: Redis) -> Result<Arc<Self>> {
        let redis = match redis.sealed {
            Some(sealed) => sealed.open().await.map_err(|fault| fault.operation("open"))?,
            None => redis,
        };
        redis.check()?;
        let link = Link::new(&redis).await.map_err(|fault| fault.operation("open"))?;
        let removal = functions::removal(redis.limits.tombstone_life);
        let (limits, database) = (redis.limits, redis.database);
        Ok(Arc::new(Self { link, functions: Functions::default(), limits, database, removal }))
    }

    /// Calls one function.
    pub(crate) async fn call(&self, invoked: &impl Invoke) -> Result<Value> {
        self.functions.call(&self.link, invoked).await
    }

    /// What a caller is told of a fault. A call that met the close lost its connection to it.
    #[cold]
    pub(crate) fn told(&self, operation: &'static str, fault: Error) -> Error {
        let fault = if self.link.is_closed() { error::closed() } else { fault };
        fault.operation(operation)
    }
}
