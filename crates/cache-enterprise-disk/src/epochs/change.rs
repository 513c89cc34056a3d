//! One line of the log: what became of one scope.

use bytes::Buf;
use cache_enterprise_core::Tag;
use cache_enterprise_core::coherence::{EpochTarget, Sequence};

/// Whose numbers a change holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    manager: String,
    /// `None` is the manager as a whole; empty text is its root tenant.
    tenant: Option<String>,
}

impl Scope {
    pub(super) fn manager(manager: &str) -> Self {
        Self { manager: manager.into(), tenant: None }
    }

    pub(super) fn tenant(manager: &str, tenant: &str) -> Self {
        Self { manager: manager.into(), tenant: Some(tenant.into()) }
    }

    /// Whether it is the manager itself or one of its tenants.
    pub(super) fn is_of(&self, manager: &str) -> bool {
        self.manager == manager
    }
}

/// Numbers that a scope has reached. Applying it takes the greater of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) scope: Scope,
    pub(super) sequence: Sequence,
    pub(super) floor: Sequence,
    pub(super) epochs: Vec<(EpochTarget, Sequence)>,
}

const EVERYTHING: u8 = 0;
const TENANT: u8 = 1;
const CACHE: u8 = 2;
const TAG: u8 = 3;
/// Any target, by the name of its field.
const FIELD: u8 = 4;

impl Change {
    /// Little-endian numbers; a text is its length in 4 bytes and its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        put_text(&mut bytes, &self.scope.manager);
        bytes.push(u8::from(self.scope.tenant.is_some()));
        put_text(&mut bytes, self.scope.tenant.as_deref().unwrap_or_default());
        bytes.extend_from_slice(&self.sequence.0.to_le_bytes());
        bytes.extend_from_slice(&self.floor.0.to_le_bytes());
        for (target, epoch) in &self.epochs {
            bytes.push(FIELD);
            put_text(&mut bytes, &target.field());
            bytes.extend_from_slice(&epoch.0.to_le_bytes());
        }
        bytes
    }

    /// `None` when the bytes do not follow the format.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let manager = text(from)?;
        let has_tenant = from.try_get_u8().ok()? == 1;
        let tenant = text(from)?;
        let scope = Scope { manager, tenant: has_tenant.then_some(tenant) };
        let sequence = Sequence(from.try_get_u64_le().ok()?);
        let floor = Sequence(from.try_get_u64_le().ok()?);
        let mut epochs = Vec::new();
        while from.has_remaining() {
            let kind = from.try_get_u8().ok()?;
            let name = text(from)?;
            let target = match kind {
                EVERYTHING => EpochTarget::Everything,
                TENANT => EpochTarget::Tenant,
                CACHE => EpochTarget::Cache(Tag::from(name)),
                TAG => EpochTarget::Tag(Tag::from(name)),
                FIELD => EpochTarget::from_field(&name)?,
                _ => return None,
            };
            epochs.push((target, Sequence(from.try_get_u64_le().ok()?)));
        }
        Some(Self { scope, sequence, floor, epochs })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length =
        u32::try_from(text.len()).expect("names and tags are limited to some hundred bytes");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn text(from: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    let text = from.get(..length)?;
    from.advance(length);
    String::from_utf8(text.to_vec()).ok()
}
