//! Sources in their order, and what becomes of them.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use crate::backends;
use crate::budget;
use crate::bus;
use crate::environment;
use crate::format::Format;
use crate::layer::{Layer, Leaf, Raw};
use crate::level;
use crate::origin::Origin;
use crate::pairs;
use crate::problem::{Problem, SettingsErrors};
use crate::resolve;
use crate::settings::Settings;
use crate::tree::Tree;

/// Names that [`Settings::load`] looks for in the working directory.
const STANDARD_FILES: [&str; 4] = [
    "cache-enterprise.toml",
    "cache-enterprise.yaml",
    "cache-enterprise.yml",
    "cache-enterprise.json",
];

/// A settings file is a page or two; a longer one is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Gathers sources. However they are added, the program's own settings go over the environment,
/// that goes over files and texts, those go over the defaults; of two files the later wins, key by
/// key.
///
/// ```
/// use cache_enterprise_settings::{Format, Settings};
///
/// let settings = Settings::builder()
///     .set("name", "from-code")
///     .env_from("CE_", [("CE_NAME".into(), "from-env".into()), ("CE_CODEC".into(), "json".into())])
///     .text(Format::Yaml, "{name: from-file, codec: postcard, timeouts: {read: 1s}}")
///     .build()?;
/// assert_eq!((settings.name(), settings.codec()), ("from-code", "json"));
/// println!("{}", settings.describe());
/// # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
/// ```
#[derive(Clone, Default)]
pub struct SettingsBuilder {
    files: Vec<Source>,
    environment: Vec<Leaf>,
    code: Vec<Leaf>,
    problems: Vec<Problem>,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Text(Format, String),
    Standard,
}

impl SettingsBuilder {
    /// Adds a file, in the format that the end of its name says. A file that cannot be read is a
    /// problem.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(Source::File(path.into()));
        self
    }

    /// Adds a text as if it were a file.
    #[must_use]
    pub fn text(mut self, format: Format, text: impl Into<String>) -> Self {
        self.files.push(Source::Text(format, text.into()));
        self
    }

    /// Adds `cache-enterprise.toml`, `.yaml`, `.yml` or `.json` of the working directory when
    /// there is one; two of them are a problem.
    #[must_use]
    pub fn standard_file(mut self) -> Self {
        self.files.push(Source::Standard);
        self
    }

    /// Adds the variables of this process that begin with `prefix`, such as `CE_`. The rest of
    /// the name is the key, with `__` for each dot.
    #[must_use]
    pub fn env_prefix(self, prefix: &str) -> Self {
        self.env_from(prefix, env::vars_os())
    }

    /// Adds variables given as pairs, as [`env_prefix`](Self::env_prefix) does those of the
    /// process.
    #[must_use]
    pub fn env_from(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let leaves = environment::leaves(prefix, variables, &mut self.problems);
        self.environment.extend(leaves);
        self
    }

    /// Sets a key in code. The value is written as in a file; of two values for one key the later
    /// wins.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.put(key, Raw::Text(value.to_string()));
        self
    }

    /// Sets a key in code to a list; as [`set`](Self::set).
    #[must_use]
    pub fn set_list<T: Display>(mut self, key: &str, items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(|item| item.to_string()).collect();
        self.put(key, Raw::List(items));
        self
    }

    fn put(&mut self, key: &str, raw: Raw) {
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        self.code.retain(|leaf| leaf.path != path);
        self.code.push(Leaf { path, raw, origin: Origin::Code });
    }

    /// Reads the files, merges everything, checks it and gives it types.
    ///
    /// # Errors
    /// Every problem at once, each with its place and what to do.
    pub fn build(self) -> Result<Settings, SettingsErrors> {
        let mut problems = Vec::new();
        let mut layers = vec![resolve::defaults(&mut problems)];
        let mut secrets = environment::secrets(&self.environment);
        secrets.extend(environment::secrets(&self.code));
        for source in &self.files {
            if let Some(leaves) = source.leaves(&mut problems) {
                secrets.extend(environment::secrets(&leaves));
                layers.push(resolve::layer(layers.len(), leaves, &mut problems));
            }
        }
        let is_setting = |origin: &Origin| match origin {
            Origin::Environment(name) => !secrets.contains(name),
            _ => true,
        };
        let Self { environment: mut variables, code, problems: early, .. } = self;
        problems.extend(early.into_iter().filter(|problem| is_setting(&problem.origin)));
        variables.retain(|leaf| is_setting(&leaf.origin) || environment::is_key(&leaf.path));
        for leaves in [variables, code] {
            layers.push(resolve::layer(layers.len(), leaves, &mut problems));
        }
        finish(&layers, problems)
    }
}

/// Merges, completes and checks what the sources said.
fn finish(layers: &[Layer], mut problems: Vec<Problem>) -> Result<Settings, SettingsErrors> {
    let mut tree = Tree::merge(layers);
    backends::place(&mut tree, &mut problems);
    level::complete(&mut tree, &mut problems);
    problems.extend(budget::divide(&mut tree).err());
    level::complete_sizes(&mut tree);
    let levels: Vec<_> = level::levels(&tree).into_iter().chain(level::backends(&tree)).collect();
    bus::complete(&mut tree, &levels, &mut problems);
    pairs::settle(&mut tree, &mut problems);
    SettingsErrors::check(problems)?;
    Ok(Settings::of(&tree))
}

/// Counts and names of files: what was written may be a secret in clear until it is judged.
impl fmt::Debug for SettingsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsBuilder")
            .field("files", &self.files)
            .field("environment", &self.environment.len())
            .field("code", &self.code.len())
            .field("problems", &self.problems.len())
            .finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Text(format, _) => write!(f, "text in {format:?}"),
            Self::Standard => f.write_str("the standard file"),
        }
    }
}

impl Source {
    /// The leaves of this source, or nothing and a problem.
    fn leaves(&self, problems: &mut Vec<Problem>) -> Option<Vec<Leaf>> {
        match self {
            Self::Text(format, text) => Some(format.leaves("text", text, problems)),
            Self::File(path) => file_leaves(path, problems),
            Self::Standard => {
                let present: Vec<_> =
                    STANDARD_FILES.iter().map(Path::new).filter(|path| path.exists()).collect();
                if let [first, second, ..] = present.as_slice() {
                    let what = format!("{} stands beside it", second.display());
                    let fix = "keep one settings file";
                    problems.push(Problem::new("", file_origin(first), what, fix));
                }
                file_leaves(present.first()?, problems)
            }
        }
    }
}

fn file_leaves(path: &Path, problems: &mut Vec<Problem>) -> Option<Vec<Leaf>> {
    match read(path) {
        Ok((format, text)) => Some(format.leaves(&path.display().to_string(), &text, problems)),
        Err((what, fix)) => {
            problems.push(Problem::new("", file_origin(path), what, fix));
            None
        }
    }
}

fn read(path: &Path) -> Result<(Format, String), (String, &'static str)> {
    let format = Format::of(path).ok_or_else(|| {
        ("is in no known format".to_owned(), "name it .toml, .yaml, .yml or .json")
    })?;
    let failed = |error: std::io::Error| {
        (format!("cannot be read: {error}"), "check its path and permissions")
    };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(("is over 1 MiB".to_owned(), "check that it is the settings file"));
    }
    fs::read_to_string(path).map(|text| (format, text)).map_err(failed)
}

fn file_origin(path: &Path) -> Origin {
    Origin::File { name: path.display().to_string(), place: None }
}
