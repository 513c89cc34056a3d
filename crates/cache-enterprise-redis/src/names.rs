//! Keys of what belongs to a tenant or a manager as a whole.
//!
//! ```text
//! {manager:tenant}epochs      sequence and epochs of the tenant
//! {manager:tenant}order       the same epochs by their numbers
//! {manager:}log               what the manager's bus carried
//! {manager:}tail              id of the newest entry of the log
//! {manager:}bus               the channel, with /n behind it in a database other than 0
//! {manager:tenant:bucket}lease/manager:tenant:cache:key
//! ```
//!
//! The braces of an entry hold three parts, those of a record two, and behind the braces of an
//! entry its whole key follows. So no record has the name of an entry, and a scan lists none.

use cache_enterprise_core::{KeyPrefix, StoredKey};

use crate::key::RedisKey;
use crate::link::slot_of_tag;

/// Names of a tenant's records. All lie in one slot.
#[derive(Debug)]
pub(crate) struct TenantNames {
    pub(crate) slot: u16,
    pub(crate) epochs: String,
}

impl TenantNames {
    /// Empty text is the root tenant.
    pub(crate) fn of(manager: &str, tenant: &str) -> Self {
        let tag = owner(manager, tenant);
        let slot = slot_of_tag(&tag);
        Self { slot, epochs: format!("{{{tag}}}epochs") }
    }

    /// Not a field: the mark, which is asked for beside reads, needs no such name.
    pub(crate) fn order(&self) -> String {
        let tag = self.epochs.strip_suffix("epochs").expect("its name ends so");
        format!("{tag}order")
    }
}

/// Names of a manager's bus, in the slot of the root tenant.
#[derive(Clone, Debug)]
pub(crate) struct BusNames {
    pub(crate) slot: u16,
    pub(crate) log: String,
    pub(crate) tail: String,
    pub(crate) channel: String,
    /// How the keys of all entries of the manager begin, and those of its records.
    pub(crate) begin: String,
}

impl BusNames {
    /// Channels know no databases, unlike keys, so the number is part of the name.
    pub(crate) fn of(manager: &str, database: u32) -> Self {
        let tag = owner(manager, "");
        let channel = match database {
            0 => format!("{{{tag}}}bus"),
            number => format!("{{{tag}}}bus/{number}"),
        };
        let slot = slot_of_tag(&tag);
        let (log, tail) = (format!("{{{tag}}}log"), format!("{{{tag}}}tail"));
        Self { slot, log, tail, channel, begin: format!("{{{tag}") }
    }
}

/// The key of a value's lease, in the slot of the value.
pub(crate) fn lease(key: &StoredKey) -> String {
    format!("{{{}}}lease/{key}", RedisKey::of(key).tag())
}

/// `manager:tenant`, escaped as in every key.
fn owner(manager: &str, tenant: &str) -> String {
    let prefix = KeyPrefix::tenant(manager, tenant);
    prefix.as_str().strip_suffix(':').expect("a prefix ends with the separator").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::stored_key;
    use crate::link::slot_of_key;
    use cache_enterprise_core::KeySpace;

    /// Golden: these texts never change, or numbers and epochs are lost.
    #[test]
    fn names_have_had_this_form_since_the_first_version() {
        let names = TenantNames::of("shop", "a:b{");
        assert_eq!(names.epochs, "{shop:a%3Ab%7B}epochs");
        assert_eq!(names.order(), "{shop:a%3Ab%7B}order");
        let root = TenantNames::of("shop", "");
        assert_eq!(root.epochs, "{shop:}epochs");
        let bus = BusNames::of("shop", 0);
        assert_eq!(
            (&*bus.log, &*bus.tail, &*bus.channel),
            ("{shop:}log", "{shop:}tail", "{shop:}bus")
        );
        assert_eq!(BusNames::of("shop", 3).channel, "{shop:}bus/3");
        assert_eq!(bus.slot, root.slot);
        assert_eq!(bus.begin, "{shop:");
    }

    #[test]
    fn a_lease_lies_beside_its_value_and_is_no_entry() {
        for manager in ["shop", "lease/shop", "lease/"] {
            let key = KeySpace::new(manager, "acme", "users").expect("plain names");
            let key = key.key(&1_u8).expect("a short key");
            let name = lease(&key);
            let tag = name[1..].split('}').next().expect("a tag");
            assert_eq!(slot_of_tag(tag), slot_of_key(&key));
            assert_eq!(stored_key(name.as_bytes()), None, "{name}");
        }
    }
}
