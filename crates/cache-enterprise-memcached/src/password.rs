//! Secrets that are held in the process.

use std::fmt;

use cache_enterprise_core::{Result, SecretSource};
use zeroize::Zeroizing;

/// A password in memory: never shown, wiped when it is dropped. Where the password has another
/// home, give a [`SecretSource`] that reads it there: the
/// servers are opened with what it says then.
///
/// ```
/// use cache_enterprise_memcached::{Memcached, Password};
///
/// let servers = Memcached::servers(["mc-a:11211"])?.user("shop").password(Password::new("hunter2"));
/// assert!(!format!("{servers:?}").contains("hunter2"));
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
