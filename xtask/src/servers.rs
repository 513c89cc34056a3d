//! The real servers that some tests and benches need: found on the search path, or installed.
//!
//! Who starts them is the test kit, each test its own. Here it is only seen to that the programs
//! are there before anything that needs them is built: on a Debian system, as root, by its package
//! manager, and anywhere else by the person who reads the line this fails with.

mod install;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::workspace::capture;

/// A file that has to be there, and the package of Debian that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    file: &'static str,
    package: &'static str,
    /// Whether the package starts its server as a service of the system.
    is_service: bool,
}

const REDIS: Part = Part { file: "redis-server", package: "redis-server", is_service: true };
const REDIS_CLI: Part = Part { file: "redis-cli", package: "redis-tools", is_service: false };
const MEMCACHED: Part = Part { file: "memcached", package: "memcached", is_service: true };
/// How memcached hears of a password; its package recommends this one and does not depend on it.
const SASL_PLAIN: Part =
    Part { file: "libplain.so", package: "libsasl2-modules", is_service: false };

const PROGRAMS: [Part; 3] = [REDIS, REDIS_CLI, MEMCACHED];

/// Where systems keep the mechanisms of SASL, besides the folders of each architecture.
const PLUGIN_FOLDERS: [&str; 3] = ["/usr/lib/sasl2", "/usr/lib64/sasl2", "/usr/local/lib/sasl2"];
const ARCHITECTURES: &str = "/usr/lib";

/// The servers of this machine, by their versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    pub(crate) redis: String,
    pub(crate) memcached: String,
}

impl Servers {
    /// Finds the servers, or installs what is missing; says on stderr what it found and did, so
    /// that stdout stays the caller's.
    pub(crate) fn find_or_install() -> Outcome<Self> {
        let system = System::this();
        let missing = system.missing();
        if !missing.is_empty() {
            if !system.installs {
                return Err(Failure::new(what_to_run(&missing)));
            }
            install::run(&missing)?;
            let still = system.missing();
            if !still.is_empty() {
                return Err(Failure::new(format!("installed, and still {}", what_to_run(&still))));
            }
        }
        let servers =
            Servers { redis: system.version(REDIS)?, memcached: system.version(MEMCACHED)? };
        eprintln!("servers: redis {}, memcached {}", servers.redis, servers.memcached);
        Ok(servers)
    }
}

/// Where the parts are looked for, and whether missing ones may be installed.
#[derive(Debug)]
struct System {
    search_path: OsString,
    plugin_folders: Vec<PathBuf>,
    installs: bool,
}

impl System {
    fn this() -> Self {
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let mut plugin_folders: Vec<PathBuf> = PLUGIN_FOLDERS.map(PathBuf::from).into();
        let architectures = fs::read_dir(ARCHITECTURES).into_iter().flatten().flatten();
        plugin_folders.extend(architectures.map(|folder| folder.path().join("sasl2")));
        let mut system = System { search_path, plugin_folders, installs: false };
        // The links of a process's own folder belong to the user it runs as.
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let is_debian = Path::new("/etc/debian_version").is_file();
        system.installs = is_root && is_debian && system.find("apt-get").is_some();
        system
    }

    fn missing(&self) -> Vec<Part> {
        let programs = PROGRAMS.into_iter().filter(|part| self.find(part.file).is_none());
        let mut missing: Vec<Part> = programs.collect();
        if !self.plugin_folders.iter().any(|folder| folder.join(SASL_PLAIN.file).exists()) {
            missing.push(SASL_PLAIN);
        }
        missing
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let is_executable = |file: &PathBuf| {
            file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        std::env::split_paths(&self.search_path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(program))
            .find(is_executable)
    }

    fn version(&self, part: Part) -> Outcome<String> {
        let program = self.find(part.file).ok_or_else(|| Failure::new(what_to_run(&[part])))?;
        let told = capture(Command::new(program).arg("--version").stdin(Stdio::null()))?;
        version_in(&told)
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("`{}` tells no version", part.file)))
    }
}

/// The failure of a machine that lacks `missing`: its last words are a line to run.
fn what_to_run(missing: &[Part]) -> String {
    let files: Vec<&str> = missing.iter().map(|part| part.file).collect();
    format!("missing: {}; run: {}", files.join(", "), install::line(missing))
}

/// The first word of digits and points, behind a space or a sign of equality.
fn version_in(told: &str) -> Option<&str> {
    told.split(|c: char| c.is_whitespace() || c == '=')
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> System {
        System { search_path: OsString::new(), plugin_folders: Vec::new(), installs: false }
    }

    #[test]
    fn an_empty_search_path_lacks_everything_and_names_one_line() {
        let missing = nothing().missing();
        assert_eq!(missing, [REDIS, REDIS_CLI, MEMCACHED, SASL_PLAIN]);
        assert_eq!(
            what_to_run(&missing),
            "missing: redis-server, redis-cli, memcached, libplain.so; run: apt-get install \
             --yes --no-install-recommends redis-server redis-tools memcached libsasl2-modules"
        );
        let failure = nothing().version(REDIS).expect_err("there is no such program");
        assert!(failure.to_string().ends_with(" redis-server"), "{failure}");
    }

    #[test]
    fn folders_of_the_search_path_are_looked_through() {
        let mut system = nothing();
        assert!(system.find("cargo").is_none());
        system.search_path = std::env::var_os("PATH").expect("tests are run by cargo");
        assert!(system.find("cargo").is_some());
        assert!(system.find("no-such-program").is_none());
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version_in("Redis server v=7.0.15 sha=00000000:0 bits=64"), Some("7.0.15"));
        assert_eq!(version_in("memcached 1.6.18\n"), Some("1.6.18"));
        assert_eq!(version_in("memcached"), None);
    }
}
