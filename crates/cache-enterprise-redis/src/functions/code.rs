//! The functions by name: what is loaded, and what a call of each is sent as.

use std::sync::LazyLock;

use twox_hash::XxHash3_64;

/// All functions stand in one piece of code: they share words such as "newer".
const CODE: &str = concat!(
    include_str!("values.lua"),
    include_str!("epochs.lua"),
    include_str!("lease.lua"),
    include_str!("log.lua"),
);

/// What can be called at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Put,
    Refuse,
    Remove,
    Touch,
    Swap,
    LoadEpochs,
    RaiseEpochs,
    AcquireLease,
    RenewLease,
    PutLeased,
    RefuseLeased,
    ReleaseLease,
    Publish,
}

/// In the order of [`Function`]: the name in the code, and whether a server without memory runs
/// it. It runs what ends something, so that an invalidation needs no room.
const NAMES: [(&str, bool); 13] = [
    ("put", false),
    ("refuse", true),
    ("remove", true),
    ("touch", true),
    ("swap", false),
    ("epochs_load", true),
    ("epochs_raise", true),
    ("lease_acquire", false),
    ("lease_renew", true),
    ("lease_put", false),
    ("lease_refuse", true),
    ("lease_release", true),
    ("log_publish", true),
];

/// One function under its names.
pub(super) struct Code {
    pub(super) function: String,
    pub(super) script: String,
    pub(super) hash: String,
}

impl Function {
    pub(super) fn code(self) -> &'static Code {
        &CODES[self as usize]
    }
}

pub(super) static CODES: LazyLock<[Code; NAMES.len()]> = LazyLock::new(|| {
    NAMES.map(|(name, _)| {
        let script = format!("{CODE}\nreturn {name}(KEYS, ARGV)\n");
        let hash = redis::Script::new(&script).get_hash().to_owned();
        Code { function: format!("cache_enterprise_{}_{name}", digest()), script, hash }
    })
});

pub(super) static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    let mut library = format!("#!lua name=cache_enterprise_{}\n{CODE}\n", digest());
    for (code, (name, runs_without_memory)) in CODES.iter().zip(NAMES) {
        let function = &code.function;
        let flags = if runs_without_memory { ", flags = {'allow-oom'}" } else { "" };
        library.push_str(&format!(
            "redis.register_function{{function_name = '{function}', callback = {name}{flags}}}\n"
        ));
    }
    library
});

fn digest() -> String {
    format!("{:016x}", XxHash3_64::oneshot(CODE.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_names_of_its_own_that_hang_on_the_code() {
        let names: Vec<_> = CODES.iter().map(|code| &code.function).collect();
        assert!(names.iter().all(|name| name.contains(&digest())));
        assert!(names.iter().all(|name| LIBRARY.contains(&format!("'{name}'"))));
        let mut hashes: Vec<_> = CODES.iter().map(|code| &code.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(hashes.len() == NAMES.len() && hashes.iter().all(|hash| hash.len() == 40));
    }

    #[test]
    fn the_last_function_has_the_last_name() {
        assert_eq!(NAMES[Function::Publish as usize].0, "log_publish");
        assert_eq!(NAMES[Function::RaiseEpochs as usize].0, "epochs_raise");
    }
}
