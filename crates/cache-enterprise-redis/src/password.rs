//! Secrets that are held in the process.

use std::fmt;

use cache_enterprise_core::{Result, SecretSource};
use zeroize::Zeroizing;

/// A password in memory: never shown, wiped when it is dropped. What the Redis client copies for
/// a login is not wiped. Where the password has another home, give a [`SecretSource`] that reads
/// it there; it is read anew for every connection.
///
/// ```
/// use cache_enterprise_redis::{Password, Redis};
///
/// let redis = Redis::url("rediss://cache:6380")?.user("shop").password(Password::new("hunter2"));
/// assert!(!format!("{redis:?}").contains("hunter2"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the password.
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(password.into()))
    }
}

impl From<Zeroizing<Vec<u8>>> for Password {
    fn from(password: Zeroizing<Vec<u8>>) -> Self {
        Self(password)
    }
}

impl SecretSource for Password {
    fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.0);
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
