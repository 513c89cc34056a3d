//! What a tenant may hold in level 1.

use cache_enterprise_core::{Error, Result};

/// A tenant's part of level 1: bytes kept for it, and bytes it may not exceed.
///
/// ```
/// use cache_enterprise_core::MIB;
/// use cache_enterprise_engine::Quota;
///
/// let quota = Quota::floor(16 * MIB).ceiling(64 * MIB);
/// assert_eq!(quota.ceiling_bytes(), Some(64 * MIB));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    floor: u64,
    ceiling: Option<u64>,
}

impl Quota {
    /// Bytes kept for the tenant when others are busy. Default ceiling: none.
    pub const fn floor(bytes: u64) -> Self {
        Self { floor: bytes, ceiling: None }
    }

    /// Bytes the tenant may not exceed; over it the tenant evicts its own entries.
    #[must_use]
    pub const fn ceiling(mut self, bytes: u64) -> Self {
        self.ceiling = Some(bytes);
        self
    }

    /// The bytes kept for the tenant.
    pub const fn floor_bytes(&self) -> u64 {
        self.floor
    }

    /// The bytes the tenant may not exceed.
    pub const fn ceiling_bytes(&self) -> Option<u64> {
        self.ceiling
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.ceiling {
            Some(ceiling) if ceiling < self.floor => {
                Err(Error::config("a quota's floor is over its ceiling; lower the floor")
                    .with("floor", self.floor)
                    .with("ceiling", ceiling))
            }
            Some(0) => Err(Error::config("a quota's ceiling is zero; give it room")),
            _ => Ok(()),
        }
    }
}
