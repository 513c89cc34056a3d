//! Secrets: where they are, and what they are. They never pass through the settings tree.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use cache_enterprise_core::{Error, ErrorKind, Result, SecretSource};
use zeroize::Zeroizing;

/// Where a secret is kept: `env:NAME` or `file:PATH`. Settings hold this reference, never the
/// secret; it is read by [`resolve`](Self::resolve) at the place that needs it.
///
/// ```
/// use cache_enterprise_settings::SecretRef;
///
/// let password = SecretRef::parse("env:REDIS_PASSWORD").expect("this is how it is written");
/// assert_eq!(password.to_string(), "*** (env:REDIS_PASSWORD)");
/// assert!(SecretRef::parse("hunter2").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    place: Place,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Environment(String),
    File(PathBuf),
}

impl SecretRef {
    /// Reads `env:NAME` or `file:PATH`. Anything else is `None`, so that a secret written in
    /// clear can be refused without being shown.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        if rest.is_empty() {
            return None;
        }
        match kind {
            "env" if is_variable_name(rest) => Some(Self::environment(rest)),
            "file" => Some(Self { place: Place::File(PathBuf::from(rest)) }),
            _ => None,
        }
    }

    /// The secret in the environment variable `name`.
    pub fn environment(name: impl Into<String>) -> Self {
        Self { place: Place::Environment(name.into()) }
    }

    /// The environment variable that holds the secret, when one does.
    pub(crate) fn variable(&self) -> Option<&str> {
        match &self.place {
            Place::Environment(name) => Some(name),
            Place::File(_) => None,
        }
    }

    /// Reads the secret, byte for byte; of a file without the one line end at its end.
    ///
    /// # Errors
    /// When the variable is not set, or the file cannot be read or may be read by others than its
    /// owner. No error shows a byte of the secret.
    pub fn resolve(&self) -> Result<Secret> {
        let bytes = match &self.place {
            Place::Environment(name) => {
                let value = env::var_os(name).ok_or_else(|| {
                    self.failed(ErrorKind::Config, "the environment variable is not set")
                })?;
                bytes_of(value)
            }
            Place::File(path) => {
                check_private(path).map_err(|what| self.failed(ErrorKind::Config, what))?;
                let read = fs::read(path).map_err(|source| {
                    self.failed(ErrorKind::Io, "cannot read the file of the secret")
                        .source_error(source)
                })?;
                without_line_end(read)
            }
        };
        if bytes.is_empty() {
            return Err(self.failed(ErrorKind::Config, "the secret is empty"));
        }
        Ok(Secret { bytes: Zeroizing::new(bytes) })
    }

    fn failed(&self, kind: ErrorKind, what: &'static str) -> Error {
        Error::new(kind, what).operation("resolve secret").with("secret", self.text())
    }

    fn text(&self) -> String {
        match &self.place {
            Place::Environment(name) => format!("env:{name}"),
            Place::File(path) => format!("file:{}", path.display()),
        }
    }
}

impl SecretSource for SecretRef {
    fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(self.resolve()?.expose());
        Ok(())
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** ({})", self.text())
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A secret in memory. It cannot be printed, and its bytes are overwritten when it is dropped.
///
/// ```
/// use cache_enterprise_settings::SecretRef;
///
/// let path = SecretRef::environment("PATH").resolve()?;
/// assert!(!path.expose().is_empty());
/// assert_eq!(format!("{path} {path:?}"), "*** ***");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// The bytes. Do not copy them further than needed.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether an option of this name holds a secret, so that its value must be a [`SecretRef`].
pub(crate) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "credential"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part)) || name == "key" || name.ends_with("_key")
}

/// Whether an address, or a list of them with commas between, carries a password:
/// `scheme://user:password@host`, the scheme left out or not. A password may hold any character
/// that divides the rest, `/`, `,` and `@` too, so that all before the last `@` may be one.
pub(crate) fn has_password(addresses: &str) -> bool {
    let login = addresses.rsplit_once('@').map_or("", |(login, _)| login);
    login.replace("://", "").contains(':')
}

fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn bytes_of(value: OsString) -> Vec<u8> {
    value.into_encoded_bytes()
}

/// The bytes without one `\n` or `\r\n` at the end, which editors add and nobody means.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

/// Refuses a file that its group or everybody may read.
#[cfg(unix)]
fn check_private(path: &std::path::Path) -> Result<(), &'static str> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            Err("others than its owner may read the file of the secret; set its mode to 0600")
        }
        // A file that is not there is told by the read that follows.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_private(_: &std::path::Path) -> Result<(), &'static str> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_taken_for_references() {
        for text in ["", "env:", "file:", "hunter2", "env:two words", "env:9X", "kms:key", "ENV:X"]
        {
            assert!(SecretRef::parse(text).is_none(), "{text}");
        }
        assert!(SecretRef::parse("file:/run/secrets/redis").is_some());
    }

    #[test]
    fn names_and_addresses_that_carry_secrets_are_known() {
        for name in ["password", "auth_token", "API_KEY", "key", "client_secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["pool_size", "keyspace", "monkey"] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(has_password("redis://user:pw@host:6379/0"));
        assert!(has_password("redis://:p@ss@host"));
        // A client takes all before the last `@` for the login, whatever is in it.
        assert!(has_password("redis://:ab/cd+ef=@host:6379"));
        assert!(has_password("redis://a:1,redis://:pw@b:2"));
        assert!(has_password("redis://:p,w@host"));
        assert!(has_password("u:pw@redis-1:6379"));
        assert!(!has_password("redis://a:1,b:2"));
        assert!(!has_password("user@host"));
        assert!(!has_password("redis://user@host:6379"));
        assert!(!has_password("host:6379"));
    }

    #[test]
    fn one_line_end_is_not_part_of_the_secret() {
        for (file, secret) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), (" a \n", " a ")]
        {
            assert_eq!(without_line_end(file.into()), secret.as_bytes());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_byte_for_byte_and_only_if_it_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("secret");
        fs::write(&path, b"\xff\x00 pw\n").expect("the directory is writable");
        let secret = SecretRef::parse(&format!("file:{}", path.display())).expect("a reference");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));

        mode(0o640).expect("the file is ours");
        let error = secret.resolve().expect_err("its group may read it");
        assert!(error.to_string().contains("0600"), "{error}");

        mode(0o600).expect("the file is ours");
        assert_eq!(secret.resolve().expect("it is private now").expose(), b"\xff\x00 pw");

        fs::write(&path, b"\n").expect("the file is ours");
        assert!(secret.resolve().expect_err("nothing in it").to_string().contains("empty"));
        fs::remove_file(&path).expect("the file is ours");
        assert_eq!(secret.resolve().expect_err("no file").kind(), ErrorKind::Io);
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = SecretRef::environment("CE_TEST_NOT_SET_ANYWHERE").resolve();
        let text = error.expect_err("nobody sets it").to_string();
        assert_eq!(
            text,
            "resolve secret: the environment variable is not set (secret: env:CE_TEST_NOT_SET_ANYWHERE)"
        );
    }
}
