//! A catalogue that several tenants read and sometimes write: the workload of the demo.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::zipf::unit_interval;
use crate::{ParameterError, Zipf, hash};

/// What a [`Catalogue`] is made of.
///
/// ```
/// use cache_enterprise_workload::{Catalogue, CatalogueConfig};
///
/// let config = CatalogueConfig { write_share: 0.0, ..CatalogueConfig::seeded(7) };
/// assert_eq!(Catalogue::new(config)?.tenants().len(), 4);
/// # Ok::<(), cache_enterprise_workload::ParameterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueConfig {
    /// Decides every draw and every size.
    pub seed: u64,
    /// Who shares the catalogue; at least one.
    pub tenants: Vec<Tenant>,
    /// Exponent of the law the keys of a tenant follow, in `0.0..=100.0`. Default 0.99.
    pub exponent: f64,
    /// Part of the operations that write, in `0.0..=1.0`. Default 0.05.
    pub write_share: f64,
    /// Sizes of values in bytes, smallest to largest. Default 200 to 8192.
    pub sizes: RangeInclusive<u32>,
}

/// One owner of a part of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// Number of its keys, which are `0..keys`; key 0 is the hottest.
    pub keys: u64,
    /// Its part of all operations, relative to the weights of the others.
    pub weight: u32,
}

impl CatalogueConfig {
    /// Four tenants with 20 000, 10 000, 6 000 and 4 000 keys, which take 50, 25, 15 and 10 of a
    /// hundred operations.
    pub fn seeded(seed: u64) -> Self {
        let tenants =
            [("acme", 20_000, 50), ("bolt", 10_000, 25), ("cove", 6_000, 15), ("dune", 4_000, 10)];
        Self {
            seed,
            tenants: tenants
                .map(|(name, keys, weight)| Tenant { name: name.into(), keys, weight })
                .into(),
            exponent: 0.99,
            write_share: 0.05,
            sizes: 200..=8192,
        }
    }
}

/// A catalogue and the endless streams of operations on it. A clone costs one reference count.
///
/// Everything follows from the seed: two catalogues of one configuration give the same operations,
/// sizes and payloads.
///
/// ```
/// use cache_enterprise_workload::{Catalogue, CatalogueConfig, OperationKind};
///
/// let catalogue = Catalogue::new(CatalogueConfig::seeded(42))?;
/// let mut writes = 0;
/// for operation in catalogue.operations(0).take(1_000) {
///     assert!(operation.key < catalogue.tenants()[operation.tenant].keys);
///     writes += u32::from(operation.kind == OperationKind::Write);
/// }
/// assert!((20..100).contains(&writes), "one in twenty: {writes}");
/// # Ok::<(), cache_enterprise_workload::ParameterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: CatalogueConfig,
    /// One law a tenant.
    laws: Vec<Zipf>,
    weight_sum: u64,
}

/// What a caller does with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Index into [`Catalogue::tenants`].
    pub tenant: usize,
    /// The tenant's key.
    pub key: u64,
    /// Size of the key's value in bytes.
    pub size: u32,
    /// Read or write.
    pub kind: OperationKind,
}

/// Whether an operation reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Look up, and load on a miss.
    Read,
    /// Store a new value.
    Write,
}

impl Catalogue {
    /// Checks the configuration and prepares the laws; cost does not grow with the number of keys.
    ///
    /// # Errors
    /// When there is no tenant, a tenant has no keys or over 2^40, all weights are 0, or a share,
    /// exponent or size lies outside its range.
    pub fn new(config: CatalogueConfig) -> Result<Self, ParameterError> {
        if !(0.0..=1.0).contains(&config.write_share) {
            return Err(ParameterError::new("write_share", "must lie in 0.0..=1.0"));
        }
        if config.sizes.is_empty() {
            return Err(ParameterError::new("sizes", "must not end below their start"));
        }
        let weight_sum = config.tenants.iter().map(|tenant| u64::from(tenant.weight)).sum();
        if weight_sum == 0 {
            return Err(ParameterError::new("tenants", "must hold one with a weight"));
        }
        let laws = config
            .tenants
            .iter()
            .map(|tenant| Zipf::new(tenant.keys, config.exponent))
            .collect::<Result<_, _>>()?;
        Ok(Self { inner: Arc::new(Inner { config, laws, weight_sum }) })
    }

    /// The tenants, in the order operations index them.
    pub fn tenants(&self) -> &[Tenant] {
        &self.inner.config.tenants
    }

    /// The configuration.
    pub fn config(&self) -> &CatalogueConfig {
        &self.inner.config
    }

    /// An endless stream of operations. Streams of different numbers are independent, so that each
    /// worker can have its own; the same number gives the same operations again.
    pub fn operations(&self, stream: u64) -> Operations {
        let seed = hash::pair(self.inner.config.seed, stream);
        Operations { inner: Arc::clone(&self.inner), rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Size in bytes of the value under a tenant's key: the smaller of two even draws from the
    /// configured range, so that small values prevail; the mean lies at a third of the range.
    ///
    /// ```
    /// use cache_enterprise_workload::{Catalogue, CatalogueConfig};
    ///
    /// let catalogue = Catalogue::new(CatalogueConfig::seeded(42))?;
    /// assert!((200..=8192).contains(&catalogue.value_size(0, 17)));
    /// assert_eq!(catalogue.value_size(0, 17), catalogue.value_size(0, 17));
    /// # Ok::<(), cache_enterprise_workload::ParameterError>(())
    /// ```
    pub fn value_size(&self, tenant: usize, key: u64) -> u32 {
        self.inner.value_size(tenant, key)
    }

    /// The value under a tenant's key: text that begins with tenant and key and has
    /// [`value_size`](Self::value_size) bytes. It is made of words, so that it compresses as
    /// documents do and not as noise or zeros. Costs one allocation and a pass over the bytes.
    ///
    /// # Panics
    /// When `tenant` is not an index of [`tenants`](Self::tenants).
    ///
    /// ```
    /// use cache_enterprise_workload::{Catalogue, CatalogueConfig};
    ///
    /// let catalogue = Catalogue::new(CatalogueConfig::seeded(42))?;
    /// let value = catalogue.payload(1, 17);
    /// assert!(value.starts_with(b"bolt:17 "));
    /// assert_eq!(value.len(), catalogue.value_size(1, 17) as usize);
    /// # Ok::<(), cache_enterprise_workload::ParameterError>(())
    /// ```
    pub fn payload(&self, tenant: usize, key: u64) -> Vec<u8> {
        self.payload_of(tenant, key, self.value_size(tenant, key) as usize)
    }

    /// As [`payload`](Self::payload) for a value whose size in bytes is known otherwise, such as
    /// from a log. Texts of two sizes part after their first words, so a text that was cut is not
    /// taken for a shorter one.
    ///
    /// # Panics
    /// When `tenant` is not an index of [`tenants`](Self::tenants).
    ///
    /// ```
    /// use cache_enterprise_workload::{Catalogue, CatalogueConfig};
    ///
    /// let catalogue = Catalogue::new(CatalogueConfig::seeded(42))?;
    /// let value = catalogue.payload_of(1, 17, 100);
    /// assert!(value.starts_with(b"bolt:17 "));
    /// assert_eq!(value.len(), 100);
    /// assert_ne!(value, catalogue.payload_of(1, 17, 200)[..100]);
    /// # Ok::<(), cache_enterprise_workload::ParameterError>(())
    /// ```
    pub fn payload_of(&self, tenant: usize, key: u64, size: usize) -> Vec<u8> {
        let mut text = format!("{}:{key} ", self.tenants()[tenant].name).into_bytes();
        text.reserve(size.saturating_sub(text.len()) + WORD_BYTES_MAX);
        let seed = hash::pair(self.inner.object(tenant, key), size as u64);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        while text.len() < size {
            text.extend_from_slice(WORDS[below(WORDS.len() as u64, rng.next_u64()) as usize]);
        }
        text.truncate(size);
        text
    }
}

impl Inner {
    fn object(&self, tenant: usize, key: u64) -> u64 {
        hash::pair(hash::pair(self.config.seed, tenant as u64), key)
    }

    fn value_size(&self, tenant: usize, key: u64) -> u32 {
        let (start, end) = (*self.config.sizes.start(), *self.config.sizes.end());
        let choices = u64::from(end - start) + 1;
        let first = self.object(tenant, key);
        let draw = below(choices, first).min(below(choices, hash::number(first)));
        start + draw as u32
    }

    /// The tenant whose part of the weights holds `point`, which is below their sum.
    fn tenant_at(&self, mut point: u64) -> usize {
        for (index, tenant) in self.config.tenants.iter().enumerate() {
            let weight = u64::from(tenant.weight);
            if point < weight {
                return index;
            }
            point -= weight;
        }
        unreachable!("the point lies below the sum of the weights")
    }
}

/// An endless stream of operations; see [`Catalogue::operations`].
#[derive(Clone, Debug)]
pub struct Operations {
    inner: Arc<Inner>,
    rng: Xoshiro256PlusPlus,
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let inner = &*self.inner;
        let tenant = inner.tenant_at(below(inner.weight_sum, self.rng.next_u64()));
        let key = inner.laws[tenant].sample(&mut self.rng) - 1;
        let kind = if unit_interval(&mut self.rng) < inner.config.write_share {
            OperationKind::Write
        } else {
            OperationKind::Read
        };
        Some(Operation { tenant, key, size: inner.value_size(tenant, key), kind })
    }
}

/// A number below `limit` from 64 even bits; the bias is under `limit / 2^64`.
fn below(limit: u64, bits: u64) -> u64 {
    ((u128::from(limit) * u128::from(bits)) >> 64) as u64
}

const WORD_BYTES_MAX: usize = 12;

const WORDS: [&[u8]; 32] = [
    b"amber ",
    b"basket ",
    b"bottle ",
    b"brass ",
    b"canvas ",
    b"ceramic ",
    b"chair ",
    b"cotton ",
    b"drawer ",
    b"felt ",
    b"folding ",
    b"glass ",
    b"handle ",
    b"iron ",
    b"jar ",
    b"kettle ",
    b"lamp ",
    b"leather ",
    b"linen ",
    b"maple ",
    b"mirror ",
    b"oak ",
    b"painted ",
    b"pine ",
    b"rope ",
    b"round ",
    b"shelf ",
    b"silver ",
    b"stool ",
    b"table ",
    b"walnut ",
    b"wool ",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn no_word_is_longer_than_reserved() {
        assert!(WORDS.iter().all(|word| word.len() <= WORD_BYTES_MAX));
    }

    #[test]
    fn the_whole_weight_is_used() {
        let catalogue = Catalogue::new(CatalogueConfig::seeded(1)).unwrap();
        let at = |point| catalogue.inner.tenant_at(point);
        assert_eq!(
            [at(0), at(49), at(50), at(74), at(75), at(89), at(90), at(99)],
            [0, 0, 1, 1, 2, 2, 3, 3]
        );
    }

    #[test]
    fn draws_stay_below_their_limit() {
        for limit in [1, 2, 3, 1 << 32, u64::MAX] {
            assert_eq!(below(limit, 0), 0);
            assert_eq!(below(limit, u64::MAX), limit - 1);
        }
    }

    #[test]
    fn impossible_catalogues_are_refused() {
        let base = CatalogueConfig::seeded(1);
        let refused = |config: CatalogueConfig| Catalogue::new(config).unwrap_err().parameter();
        let mut weightless = base.clone();
        weightless.tenants.iter_mut().for_each(|tenant| tenant.weight = 0);
        assert_eq!(refused(weightless), "tenants");
        assert_eq!(refused(CatalogueConfig { tenants: Vec::new(), ..base.clone() }), "tenants");
        assert_eq!(refused(CatalogueConfig { write_share: 1.1, ..base.clone() }), "write_share");
        assert_eq!(refused(CatalogueConfig { exponent: -1.0, ..base.clone() }), "exponent");
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = CatalogueConfig { sizes: 9..=8, ..base.clone() };
        assert_eq!(refused(reversed), "sizes");
        let mut keyless = base;
        keyless.tenants[3].keys = 0;
        assert_eq!(refused(keyless), "ranks");
    }
}
