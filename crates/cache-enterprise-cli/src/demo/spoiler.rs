//! What breaks a level, and heals it.

use std::io;
use std::sync::Arc;

use cache_enterprise::ErrorKind;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};

/// A way to break one level.
#[derive(Clone, Debug)]
pub(crate) enum Spoiler {
    /// Inside the demo: every call to the level.
    Calls(Arc<ChaosBackend>),
    /// Outside: every connection to its servers.
    Wire(Wire),
}

/// The proxies before the servers of a level. They stay when the level is opened anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Vec<Arc<TcpProxy>>);

impl Wire {
    /// Adds a proxy before the server at `address`, and gives its own address.
    pub(crate) fn proxy_to(&mut self, address: &str) -> io::Result<String> {
        let proxy = TcpProxy::try_to(address)?;
        let address = proxy.address();
        self.0.push(Arc::new(proxy));
        Ok(address)
    }

    fn each(&self, tell: impl Fn(&TcpProxy)) {
        self.0.iter().for_each(|proxy| tell(proxy));
    }
}

impl Spoiler {
    /// From now on calls fail at once: connections are torn, and new ones too.
    pub(crate) fn fail(&self) {
        match self {
            Self::Calls(chaos) => chaos.set(Mode::Fail(ErrorKind::Unavailable)),
            Self::Wire(wire) => wire.each(|proxy| proxy.set(Fault::Reset)),
        }
    }

    /// From now on nothing answers: every byte is swallowed.
    pub(crate) fn hang(&self) {
        match self {
            Self::Calls(chaos) => chaos.set(Mode::Hang),
            Self::Wire(wire) => wire.each(|proxy| proxy.set(Fault::BlackHole)),
        }
    }

    /// From now on everything passes.
    pub(crate) fn heal(&self) {
        match self {
            Self::Calls(chaos) => chaos.set(Mode::Healthy),
            Self::Wire(wire) => wire.each(TcpProxy::heal),
        }
    }

    /// How often something was spoiled so far: calls, or connections that were opened. Only the
    /// difference of two answers tells something.
    pub(crate) fn toll(&self) -> u64 {
        match self {
            Self::Calls(chaos) => chaos.all_faults(),
            Self::Wire(Wire(proxies)) => proxies.iter().map(|proxy| proxy.accepted() as u64).sum(),
        }
    }

    /// What [`toll`](Self::toll) counts, as the report says it.
    pub(crate) fn toll_name(&self) -> &'static str {
        match self {
            Self::Calls(_) => "calls to the level spoiled",
            Self::Wire(_) => "connections tried in vain",
        }
    }
}
