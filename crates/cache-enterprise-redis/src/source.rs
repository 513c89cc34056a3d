//! Redis as a manager's builder takes it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_enterprise_core::{BackendSource, Clock, DescribedOption, OpenedBackend, Result};

use crate::config::{Limits, Redis, Topology};
use crate::{RedisBackend, address::Endpoint};

/// Opens, and waits for the connection. A server that does not answer is no reason for a service
/// not to start: its calls fail until it does, so the level is down and not absent. Wrong options,
/// certificates and logins are errors here, since only a person can mend them. Expiry follows the
/// clock of the server, whatever the manager's is.
#[async_trait]
impl BackendSource for Redis {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        let backend = RedisBackend::new(*self).await?;
        match backend.connected().await {
            Err(fault) if !fault.is_transient() => Err(fault),
            // Its connections are tried again by themselves.
            _ => Ok(Arc::new(backend).opened()),
        }
    }

    fn describe(&self) -> Vec<DescribedOption> {
        let (limits, usual) = (&self.limits, Limits::default());
        let mut options = match &self.sealed {
            Some(sealed) => sealed.described(),
            None => vec![servers(&self.topology)],
        };
        // What a secret says too is told only where an option says it.
        let is_known = |option| self.sealed.as_ref().is_none_or(|sealed| sealed.says(option));
        let mut tell = |name: &str, value: String, is_default: bool| {
            options.push(DescribedOption { name: name.into(), value, is_default });
        };
        if let Topology::Sentinel { primary, .. } = &self.topology {
            tell("primary", primary.clone(), false);
        }
        if is_known("database") {
            tell("database", self.database.to_string(), self.database == 0);
        }
        if is_known("tls") {
            tell("tls", self.tls.is_on.to_string(), !self.tls.is_on);
        }
        if let Some(user) = &self.login.user {
            tell("user", user.clone(), false);
        }
        if self.login.password.is_some() && self.sealed.is_none() {
            tell("password", "***".into(), false);
        }
        let counts = [
            ("pool_size", limits.pool_size, usual.pool_size),
            ("pipeline_size", limits.pipeline_size, usual.pipeline_size),
            ("replicated", limits.replicas, usual.replicas),
            ("value_bytes_max", limits.value_bytes_max, usual.value_bytes_max),
        ];
        for (name, count, default) in counts {
            tell(name, count.to_string(), count == default);
        }
        let times: [(&str, Duration, Duration); 4] = [
            ("connect_timeout", limits.connect_timeout, usual.connect_timeout),
            ("read_timeout", limits.read_timeout, usual.read_timeout),
            ("write_timeout", limits.write_timeout, usual.write_timeout),
            ("tombstone_life", limits.tombstone_life, usual.tombstone_life),
        ];
        for (name, time, default) in times {
            tell(name, format!("{time:?}"), time == default);
        }
        options
    }
}

fn servers(topology: &Topology) -> DescribedOption {
    let list = |endpoints: &[Endpoint]| {
        let texts: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    let (name, value) = match topology {
        Topology::Standalone(endpoint) => ("url", endpoint.to_string()),
        Topology::Sentinel { sentinels, .. } => ("sentinels", list(sentinels)),
        Topology::Cluster(nodes) => ("cluster_nodes", list(nodes)),
    };
    DescribedOption { name: name.into(), value, is_default: false }
}
