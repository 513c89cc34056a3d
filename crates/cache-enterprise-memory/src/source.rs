//! Memory as a tier, as settings take it.

use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::{
    BackendConfig, BackendFactory, BackendSource, Capacity, Clock, DescribedOption, Error, MIB,
    OpenedBackend, Result,
};

use crate::MemoryBackend;

/// What a tier in memory holds when nobody says.
const BYTES_DEFAULT: u64 = 64 * MIB;

/// Makes a [`MemoryBackend`] of settings: `max_size` in bytes, 64 MiB when nobody says. It has no
/// other options. The backend lives on the manager's clock.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendFactory};
/// use cache_enterprise_memory::MemoryFactory;
///
/// let source = MemoryFactory.source(&BackendConfig::new("memory"))?;
/// assert_eq!(source.describe()[0].name, "max_size");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemoryFactory;

impl BackendFactory for MemoryFactory {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        config.knows_only(&[])?;
        match config.max_size.unwrap_or(Capacity::bytes(BYTES_DEFAULT)) {
            Capacity::Bytes(bytes) if bytes > 0 => Ok(Box::new(MemoryTier { bytes })),
            _ => {
                let text = "a tier in memory is limited in bytes; write a size with a unit";
                Err(Error::config(text).with("backend", config.kind()).with("option", "max_size"))
            }
        }
    }
}

/// A [`MemoryBackend`] to be opened.
#[derive(Debug)]
struct MemoryTier {
    bytes: u64,
}

#[async_trait]
impl BackendSource for MemoryTier {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        let backend = MemoryBackend::new(Capacity::bytes(self.bytes)).with_clock(clock.clone());
        Ok(OpenedBackend::new(Arc::new(backend)))
    }

    fn describe(&self) -> Vec<DescribedOption> {
        let value = Capacity::bytes(self.bytes).to_string();
        let is_default = self.bytes == BYTES_DEFAULT;
        vec![DescribedOption { name: "max_size".into(), value, is_default }]
    }
}
