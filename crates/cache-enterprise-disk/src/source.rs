//! A disk as a manager's builder and settings take it.

use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::{
    BackendConfig, BackendFactory, BackendSource, Capacity, Clock, DescribedOption, Error,
    ErrorKind, GIB, OpenedBackend, Result,
};

use crate::Disk;
use crate::late::LateDisk;

/// Opens on the manager's clock; the directory keeps sequence and epochs as well.
///
/// A directory that cannot be read or written is no reason for a service not to start: its calls
/// fail until it opens. Wrong options, a directory in use and a damaged store are errors here,
/// since only a person can mend them.
#[async_trait]
impl BackendSource for Disk {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        let disk = (*self).clock(clock.clone());
        match disk.clone().open().await {
            Ok(open) => Ok(OpenedBackend::new(Arc::clone(&open) as _).with_epochs(open)),
            Err(fault) if fault.kind() == ErrorKind::Io => {
                let late = Arc::new(LateDisk::new(disk, clock.clone(), fault));
                Ok(OpenedBackend::new(Arc::clone(&late) as _).with_epochs(late))
            }
            Err(fault) => Err(fault),
        }
    }

    fn describe(&self) -> Vec<DescribedOption> {
        let path = self.directory().display().to_string();
        let bytes = self.budget_bytes();
        vec![
            DescribedOption { name: "path".into(), value: path, is_default: false },
            DescribedOption {
                name: "max_size".into(),
                value: Capacity::bytes(bytes).to_string(),
                is_default: bytes == GIB,
            },
        ]
    }
}

/// Makes a [`Disk`] of settings: `path` (needed) and `max_size` in bytes. It has no other options.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendFactory, BackendRegistry};
/// use cache_enterprise_disk::DiskFactory;
///
/// let mut registry = BackendRegistry::new();
/// registry.register("disk", DiskFactory)?;
///
/// let mut config = BackendConfig::new("disk");
/// config.path = Some("var/cache".into());
/// let source = registry.named("disk")?.source(&config)?;
/// assert_eq!(source.describe()[0].value, "var/cache");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DiskFactory;

impl BackendFactory for DiskFactory {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        config.knows_only(&[])?;
        let path = config.path.as_ref().ok_or_else(|| {
            Error::config("a disk needs a directory; name its path").with("backend", config.kind())
        })?;
        let disk = match config.max_size {
            None => Disk::at(path),
            Some(Capacity::Bytes(bytes)) => Disk::at(path).budget(bytes),
            Some(Capacity::Entries(_)) => {
                let text = "a disk is limited in bytes; write a size with a unit";
                return Err(Error::config(text).with("option", "max_size"));
            }
        };
        disk.check().map_err(|error| error.with("option", "max_size"))?;
        Ok(Box::new(disk))
    }
}
