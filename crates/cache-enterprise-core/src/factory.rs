//! Backends and buses by name: what settings say of them, and who makes them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::coherence::Bus;
use crate::{BackendSource, Capacity, Error, ErrorKind, Result, check_name};

/// A secret that is read where it is needed. `Debug` must not show it, nor may any error.
pub trait SecretSource: fmt::Debug + Send + Sync + 'static {
    /// Reads the secret and shows it to `see`, which should copy it no further than it must.
    /// Blocks for as long as reading a small file takes.
    ///
    /// # Errors
    /// When the secret cannot be read; the error says where it was looked for.
    fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// An option of a backend, as it was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackendOption {
    /// One value.
    Text(String),
    /// Several values.
    List(Vec<String>),
    /// A value that is not shown.
    Secret(Arc<dyn SecretSource>),
}

/// What settings say of one level or of the bus, for its factory to judge.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendOption};
///
/// let config = BackendConfig::new("redis")
///     .option("pool_size", BackendOption::Text("20".into()))
///     .option("nodes", BackendOption::List(vec!["a:6379".into(), "b:6379".into()]));
/// config.knows_only(&["nodes", "pool_size"])?;
/// assert_eq!(config.parsed::<u32>("pool_size")?, Some(20));
/// assert_eq!(config.list("nodes")?, ["a:6379", "b:6379"]);
/// assert!(config.text("nodes").is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackendConfig {
    kind: String,
    /// What the level may hold, where settings say it.
    pub max_size: Option<Capacity>,
    /// The directory, where settings name one.
    pub path: Option<PathBuf>,
    /// Longest a read of the level may take, where settings say it of all levels. A client that
    /// gives up by itself, and for which no option says when, waits as long as this, or longer.
    pub read_timeout: Option<Duration>,
    /// As `read_timeout`, for a write.
    pub write_timeout: Option<Duration>,
    options: BTreeMap<String, BackendOption>,
}

impl BackendConfig {
    /// A level of this kind about which nothing else is said.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            max_size: None,
            path: None,
            read_timeout: None,
            write_timeout: None,
            options: BTreeMap::new(),
        }
    }

    /// Sets an option. Its name is found in any case: settings know all names in lower case alone.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: BackendOption) -> Self {
        self.options.insert(name.into().to_ascii_lowercase(), value);
        self
    }

    fn get(&self, name: &str) -> Option<&BackendOption> {
        self.options.get(&name.to_ascii_lowercase())
    }

    /// The name under which the backend is asked for.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Refuses options of other names than these.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names every other option and what there is.
    pub fn knows_only(&self, names: &[&str]) -> Result<()> {
        let is_known = |name: &&String| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let others: Vec<_> = self.options.keys().filter(|name| !is_known(name)).cloned().collect();
        if others.is_empty() {
            return Ok(());
        }
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let text = "the backend has no such option; remove it or write another";
        Err(Error::config(text)
            .with("backend", &self.kind)
            .with("option", others.join(", "))
            .with("known", known))
    }

    /// The single value of an option.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is a list or a secret.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(BackendOption::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.misread(name, "the option takes one value in clear")),
        }
    }

    /// The single value of an option as what it means.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is a list or a secret, or means nothing of the kind.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = text.trim().parse().map_err(|_| {
            self.misread(name, "the value of the option cannot be read")
                .with("wanted", std::any::type_name::<T>())
        });
        read.map(Some)
    }

    /// The single value of an option as yes or no: `true`, `yes`, `on`, `1`, or `false`, `no`,
    /// `off`, `0`, in any case, as other settings are written.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is a list or a secret, or neither yes nor no.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Some(true)),
            "false" | "no" | "off" | "0" => Ok(Some(false)),
            _ => {
                let words =
                    "the option takes yes or no; write true, yes, on or 1, or false, no, off or 0";
                Err(self.misread(name, words))
            }
        }
    }

    /// The values of an option: none, a list, or those between the commas of one text, as an
    /// environment variable gives them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is a secret.
    pub fn list(&self, name: &'static str) -> Result<Vec<&str>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(BackendOption::Text(text)) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            }
            Some(BackendOption::List(items)) => Ok(items.iter().map(String::as_str).collect()),
            Some(BackendOption::Secret(_)) => {
                Err(self.misread(name, "the option takes values in clear"))
            }
        }
    }

    /// Whether an option is a secret: for one that may be written in clear or not.
    pub fn is_secret(&self, name: &str) -> bool {
        matches!(self.get(name), Some(BackendOption::Secret(_)))
    }

    /// The secret of an option.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the option is written in clear.
    pub fn secret(&self, name: &'static str) -> Result<Option<&Arc<dyn SecretSource>>> {
        match self.get(name) {
            None => Ok(None),
            Some(BackendOption::Secret(secret)) => Ok(Some(secret)),
            Some(_) => Err(self.misread(name, "the option takes a secret by reference")),
        }
    }

    fn misread(&self, name: &'static str, text: &str) -> Error {
        Error::config(text).with("backend", &self.kind).with("option", name)
    }
}

/// Makes the description of a backend from settings. Called once a level, before anything is
/// opened: it judges every option, does no I/O and reads no secret, so that all that is wrong is told
/// at once, also where the secrets are not at hand. Secrets are read when the source is opened.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendFactory, BackendSource, Result};
///
/// /// A disk under a folder that the program knows; settings give the last part.
/// #[derive(Debug)]
/// struct UnderHome<F> { home: std::path::PathBuf, disk: F }
///
/// impl<F: BackendFactory> BackendFactory for UnderHome<F> {
///     fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
///         config.knows_only(&["folder"])?;
///         let folder = config.text("folder")?.unwrap_or("cache");
///         let mut disk = BackendConfig::new("disk");
///         disk.path = Some(self.home.join(folder));
///         self.disk.source(&disk)
///     }
/// }
/// ```
pub trait BackendFactory: fmt::Debug + Send + Sync + 'static {
    /// The backend that `config` describes, not opened yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when an option is missing, unknown or out of range, with the fix. A
    /// pair of context called `option` leads people to the place where it was written.
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>>;
}

/// Makes a bus from settings. Called before anything is opened, as a [`BackendFactory`] is: it
/// judges every option, does no I/O and reads no secret.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::coherence::Bus;
/// use cache_enterprise_core::{BackendConfig, BusFactory, Result};
///
/// /// The bus that the program has anyway.
/// #[derive(Debug)]
/// struct TheOne(Arc<dyn Bus>);
///
/// impl BusFactory for TheOne {
///     fn bus(&self, config: &BackendConfig) -> Result<Arc<dyn Bus>> {
///         config.knows_only(&[])?;
///         Ok(Arc::clone(&self.0))
///     }
/// }
/// ```
pub trait BusFactory: fmt::Debug + Send + Sync + 'static {
    /// The bus that `config` describes; it connects when it is used.
    ///
    /// # Errors
    /// As [`BackendFactory::source`].
    fn bus(&self, config: &BackendConfig) -> Result<Arc<dyn Bus>>;
}

/// Factories under the names that settings use, which are the same in any case.
///
/// ```
/// use cache_enterprise_core::BackendRegistry;
///
/// let registry = BackendRegistry::new();
/// let error = registry.named("redis").expect_err("nothing is registered");
/// assert!(error.to_string().contains("redis"));
/// assert!(registry.bus_named("redis").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct BackendRegistry {
    factories: BTreeMap<String, Arc<dyn BackendFactory>>,
    buses: BTreeMap<String, Arc<dyn BusFactory>>,
}

impl BackendRegistry {
    /// No factory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a factory.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the name is taken, [`ErrorKind::InvalidInput`] when it is
    /// empty or too long.
    pub fn register(&mut self, name: &str, factory: impl BackendFactory) -> Result<()> {
        check_name("backend", name)?;
        let known = name.to_ascii_lowercase();
        if self.factories.contains_key(&known) {
            let text = "a backend of this name is registered already; choose another name";
            return Err(Error::new(ErrorKind::Conflict, text).with("backend", name));
        }
        self.factories.insert(known, Arc::new(factory));
        Ok(())
    }

    /// The factory of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is none; the error lists the names there are.
    pub fn named(&self, name: &str) -> Result<&Arc<dyn BackendFactory>> {
        self.factories.get(&name.to_ascii_lowercase()).ok_or_else(|| {
            Error::config("no backend has this name; write a known one or register a factory")
                .with("backend", name)
                .with("known", self.names().join(", "))
        })
    }

    /// The names of backends, in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        self.factories.keys().map(String::as_str).collect()
    }

    /// Registers the factory of a bus. A backend may have the same name.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_bus(&mut self, name: &str, factory: impl BusFactory) -> Result<()> {
        check_name("bus", name)?;
        let known = name.to_ascii_lowercase();
        if self.buses.contains_key(&known) {
            let text = "a bus of this name is registered already; choose another name";
            return Err(Error::new(ErrorKind::Conflict, text).with("bus", name));
        }
        self.buses.insert(known, Arc::new(factory));
        Ok(())
    }

    /// The factory of the bus of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is none; the error lists the names there are.
    pub fn bus_named(&self, name: &str) -> Result<&Arc<dyn BusFactory>> {
        self.buses.get(&name.to_ascii_lowercase()).ok_or_else(|| {
            Error::config("no bus has this name; write a known one or register a factory")
                .with("bus", name)
                .with("known", self.bus_names().join(", "))
        })
    }

    /// The names of buses, in alphabetical order.
    pub fn bus_names(&self) -> Vec<&str> {
        self.buses.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug)]
    struct Nothing;

    impl BackendFactory for Nothing {
        fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
            config.knows_only(&[])?;
            Err(Error::config("it makes nothing"))
        }
    }

    #[derive(Debug)]
    struct Canary;

    impl SecretSource for Canary {
        fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
            see(b"canary");
            Ok(())
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let mut registry = BackendRegistry::new();
        registry.register("vault", Nothing).unwrap();
        registry.register("attic", Nothing).unwrap();
        assert_eq!(
            registry.named("valut").unwrap_err().to_string(),
            "no backend has this name; write a known one or register a factory (backend: valut, \
             known: attic, vault)"
        );
        assert_eq!(registry.register("vault", Nothing).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(registry.register("", Nothing).is_err());
    }

    #[test]
    fn names_of_backends_and_options_are_the_same_in_any_case() {
        let mut registry = BackendRegistry::new();
        registry.register("Attic", Nothing).unwrap();
        assert!(registry.named("attic").is_ok() && registry.named("ATTIC").is_ok());
        assert_eq!(registry.register("attic", Nothing).unwrap_err().kind(), ErrorKind::Conflict);
        let config = BackendConfig::new("attic");
        let config = config.option("maxconn", BackendOption::Text("7".into()));
        config.knows_only(&["maxConn"]).unwrap();
        assert_eq!(config.parsed("maxConn").unwrap(), Some(7));
    }

    #[test]
    fn a_flag_is_written_as_other_settings_are() {
        let config = |text: &str| {
            BackendConfig::new("vault").option("tls", BackendOption::Text(text.to_owned()))
        };
        for yes in ["true", "True", "YES", "on", " 1 "] {
            assert_eq!(config(yes).flag("tls").unwrap(), Some(true), "{yes}");
        }
        for no in ["false", "No", "OFF", "0"] {
            assert_eq!(config(no).flag("tls").unwrap(), Some(false), "{no}");
        }
        let error = config("canary").flag("tls").unwrap_err().to_string();
        assert!(error.contains("yes") && error.contains("option: tls"), "{error}");
        assert!(!error.contains("canary"));
        assert_eq!(config("1").flag("cluster").unwrap(), None);
    }

    #[test]
    fn options_are_read_as_what_they_are_or_refused_without_their_value() {
        let config = BackendConfig::new("vault")
            .option("token", BackendOption::Secret(Arc::new(Canary)))
            .option("size", BackendOption::Text("many".into()));
        let mut seen = Vec::<u8>::new();
        config.secret("token").unwrap().unwrap().reveal(&mut |bytes| seen.extend(bytes)).unwrap();
        assert_eq!(seen, b"canary");
        let errors = [
            config.text("token").unwrap_err(),
            config.list("token").unwrap_err(),
            config.secret("size").unwrap_err(),
            config.parsed::<u8>("size").unwrap_err(),
            Nothing.source(&config).unwrap_err(),
        ];
        for error in &errors {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error} {error:?} {config:?}").contains("canary"));
        }
        assert!(errors[4].to_string().contains("option: size, token, known: none"));
        assert_eq!(config.parsed::<u8>("absent").unwrap(), None);
        assert!(config.is_secret("token") && !config.is_secret("size"));
    }
}
