//! A disk as a manager's builder takes it.

use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::{BackendSource, Clock, OpenedBackend, Result};

use crate::Disk;

/// Opens on the manager's clock; the directory keeps sequence and epochs as well.
#[async_trait]
impl BackendSource for Disk {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        let disk = (*self).clock(clock.clone()).open().await?;
        Ok(OpenedBackend { backend: Arc::clone(&disk) as _, epochs: Some(disk) })
    }
}
