//! The programs the servers are started from, and where they are looked for.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What installs every program on a Debian system. `libsasl2-modules` holds the mechanism by which
/// memcached asks for passwords.
pub const INSTALL_LINE: &str = "apt-get install --yes --no-install-recommends \
                                redis-server redis-tools memcached libsasl2-modules";

/// A program that tests on real servers start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Program {
    /// The server of Redis, which is also the node of a cluster and the Sentinel.
    RedisServer,
    /// The command line of Redis: the judge that owes nothing to a client under test.
    RedisCli,
    /// The server of memcached.
    Memcached,
}

impl Program {
    /// The name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Program::RedisServer => "redis-server",
            Program::RedisCli => "redis-cli",
            Program::Memcached => "memcached",
        }
    }

    /// The first executable file of that name in the folders of `search_path`, which is written
    /// like `PATH`.
    ///
    /// ```
    /// use cache_enterprise_testkit::servers::Program;
    ///
    /// let missing = Program::Memcached.find("".as_ref()).unwrap_err();
    /// assert!(missing.to_string().contains("apt-get install"));
    /// ```
    ///
    /// # Errors
    /// When no folder holds it; the text ends in the one line that installs it.
    pub fn find(self, search_path: &OsStr) -> Result<PathBuf, MissingProgram> {
        std::env::split_paths(search_path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(self.file_name()))
            .find(|file| is_executable(file))
            .ok_or(MissingProgram(self))
    }

    /// The version it tells, such as `7.0.15`.
    ///
    /// # Panics
    /// When `file`, which [`find`](Self::find) gave, does not run or tells no version.
    pub fn version(self, file: &Path) -> String {
        let output = Command::new(file).arg("--version").output();
        let output = output.unwrap_or_else(|e| panic!("running {}: {e}", self.file_name()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        version_in(&text)
            .unwrap_or_else(|| panic!("{} tells no version: {text}", self.file_name()))
            .to_owned()
    }

    /// [`find`](Self::find) for a test: a test without its server fails.
    pub(super) fn path(self, search_path: &OsStr) -> PathBuf {
        self.find(search_path).unwrap_or_else(|missing| panic!("{missing}"))
    }
}

/// The folders the programs are looked for in when a test does not say otherwise.
pub(super) fn default_search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// A program that is in no folder of the search path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingProgram(pub Program);

impl fmt::Display for MissingProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not on the search path; run: {INSTALL_LINE}", self.0.file_name())
    }
}

impl std::error::Error for MissingProgram {}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The first run of digits and points in `text`, behind `v=` or a space.
fn version_in(text: &str) -> Option<&str> {
    text.split(|c: char| c.is_whitespace() || c == '=')
        .map(|word| word.trim_end_matches('.'))
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_search_path_names_the_line_to_run() {
        for program in [Program::RedisServer, Program::RedisCli, Program::Memcached] {
            let missing = program.find(OsStr::new("")).expect_err("nothing is looked through");
            let text = missing.to_string();
            assert!(text.starts_with(program.file_name()), "{text}");
            assert!(text.ends_with(INSTALL_LINE), "{text}");
        }
    }

    #[test]
    fn the_first_executable_file_is_taken() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let folder = |name: &str, mode| {
            let folder = base.path().join(name);
            std::fs::create_dir(&folder).expect("a new folder");
            let file = folder.join("memcached");
            std::fs::write(&file, "").expect("a new file");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("our file");
            folder
        };
        let folders = [folder("text", 0o644), folder("first", 0o755), folder("second", 0o755)];
        let path = std::env::join_paths(&folders).expect("no folder has a colon");
        assert_eq!(Program::Memcached.find(&path), Ok(folders[1].join("memcached")));
        assert!(Program::RedisCli.find(&path).is_err());
    }

    #[test]
    fn versions_are_read() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(version_in(redis), Some("7.0.15"));
        assert_eq!(version_in("redis-cli 7.0.15\n"), Some("7.0.15"));
        assert_eq!(version_in("memcached 1.6.18\n"), Some("1.6.18"));
        assert_eq!(version_in("memcached"), None);
    }
}
