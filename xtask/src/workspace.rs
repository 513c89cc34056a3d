//! Where the repository is, what lies in it, and how cargo is called on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::manifest::Manifest;

/// The package that builds its peers, which takes minutes: only tasks that need it name it.
pub(crate) const BENCH: &str = "cache-enterprise-bench";

/// The crate users depend on.
pub(crate) const UMBRELLA: &str = "cache-enterprise";

/// The repository this binary was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the root: the parent of the folder that holds this crate's manifest.
    pub(crate) fn find() -> Outcome<Self> {
        // `cargo run` sets the variable to where the manifest is now; the compiled-in value is
        // where it was when the binary was built.
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        match here.parent() {
            Some(root) if root.join("Cargo.toml").is_file() => {
                Ok(Workspace { root: root.to_path_buf() })
            }
            _ => Err(Failure::new("the workspace root is not above this crate's folder")),
        }
    }

    /// The folder that holds the root manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        let named = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(named)
    }

    /// [`cargo`](Self::cargo) under a `--cfg`, in a target directory of that name: other flags for
    /// the compiler would else build every dependency of the usual directory again, each time.
    pub(crate) fn cargo_under<S: AsRef<OsStr>>(&self, cfg: &str, arguments: &[S]) -> Command {
        let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
        flags.push(format!(" --cfg {cfg}"));
        let mut command = self.cargo(arguments);
        command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", self.target().join(cfg));
        command
    }

    /// The cargo that started us, in the root folder, reading nothing from stdin.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// [`cargo`](Self::cargo) for output that is read here: what asks for colours elsewhere would
    /// put their codes before the words that are looked for.
    pub(crate) fn plain_cargo<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.cargo(arguments);
        command.env("CARGO_TERM_COLOR", "never");
        command
    }

    /// Every manifest of the repository but the virtual one, sorted by path.
    pub(crate) fn manifests(&self) -> Outcome<Vec<Manifest>> {
        Tree::read(self)?.manifests()
    }
}

/// Runs `command` to its end, its output going to ours.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    let status = command.status().map_err(Failure::of(format!("starting `{shown}`")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{shown}` failed"))) }
}

/// Runs `command` and gives its stdout as text; its stderr goes to ours.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(Failure::of(format!("starting `{shown}`")))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{shown}` failed")));
    }
    String::from_utf8(output.stdout).map_err(Failure::of(format!("reading `{shown}`")))
}

/// The command as a person would type it, with `cargo` for the path of cargo.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program.file_name().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

/// The files of the repository by path relative to the root, with `/` between the parts on every
/// system; text where the file is one we read, nothing where it only has to exist.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the repository, leaving out build output and version control.
    pub(crate) fn read(workspace: &Workspace) -> Outcome<Self> {
        let mut tree = Tree::default();
        tree.enter(workspace.root(), "")?;
        Ok(tree)
    }

    /// A tree of given files, for tests of the checks.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let entry = |(path, text): &(&str, &str)| (path.to_string(), Some(text.to_string()));
        Tree { files: files.iter().map(entry).collect() }
    }

    /// Every text file whose name ends in one of `endings`: path and text, sorted by path.
    pub(crate) fn texts<'a>(
        &'a self,
        endings: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files.iter().filter_map(move |(path, text)| {
            let wanted = endings.iter().any(|ending| path.ends_with(ending));
            text.as_deref().filter(|_| wanted).map(|text| (path.as_str(), text))
        })
    }

    /// The text of the file at `path`.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether a file or a folder with something in it stands at `path`.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
    }

    /// Every manifest but the virtual one, names of renamed dependencies resolved.
    pub(crate) fn manifests(&self) -> Outcome<Vec<Manifest>> {
        let aliases = match self.text("Cargo.toml") {
            Some(text) => crate::manifest::aliases(text)?,
            None => BTreeMap::new(),
        };
        self.texts(&["/Cargo.toml"])
            .map(|(path, text)| Manifest::parse(path, text, &aliases))
            .collect()
    }

    fn enter(&mut self, folder: &Path, prefix: &str) -> Outcome {
        let listing = fs::read_dir(folder).map_err(Failure::of(format!("listing `{prefix}`")))?;
        for entry in listing {
            let entry = entry.map_err(Failure::of(format!("listing `{prefix}`")))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(Failure::of(format!("looking at `{path}`")))?;
            if kind.is_dir() {
                if name != "target" && name != ".git" {
                    self.enter(&entry.path(), &format!("{path}/"))?;
                }
            } else {
                let text = match is_text(&path) {
                    true => Some(
                        fs::read_to_string(entry.path())
                            .map_err(Failure::of(format!("reading `{path}`")))?,
                    ),
                    false => None,
                };
                self.files.insert(path, text);
            }
        }
        Ok(())
    }
}

fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 7] = [".rs", ".toml", ".md", ".lock", ".yml", ".yaml", ".sh"];
    ENDINGS.iter().any(|ending| path.ends_with(ending)) || path == ".ci/run"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_exists_when_something_lies_in_it() {
        let tree = Tree::of(&[("pages/limits.md", ""), ("pages-old.md", "")]);
        assert!(tree.exists("pages"));
        assert!(tree.exists("pages/"));
        assert!(tree.exists("pages/limits.md"));
        assert!(!tree.exists("pages/limit"));
        assert!(!tree.exists("page"));
    }

    #[test]
    fn what_is_read_has_no_colours() {
        let workspace = Workspace { root: PathBuf::new() };
        let command = workspace.plain_cargo(&["tree"]);
        let colours: Vec<_> = command.get_envs().collect();
        assert_eq!(colours, [(OsStr::new("CARGO_TERM_COLOR"), Some(OsStr::new("never")))]);
    }

    #[test]
    fn commands_are_shown_without_the_path_of_their_program() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["check", "-p", "xtask"]);
        assert_eq!(show(&command), "cargo check -p xtask");
    }
}
