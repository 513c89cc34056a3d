//! Installing the servers on a Debian system: by its package manager, with no service started.
//!
//! The packages start their servers as services of the system unless a policy forbids it. The
//! policy is a program that the packages' scripts ask; one is put in place while they run and
//! taken away after. It forbids only as long as this process lives, so that one which a killed
//! process leaves behind forbids nothing. A policy that is there already is never touched.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use super::Part;
use crate::failure::{Failure, Outcome};
use crate::workspace::run as run_command;

const POLICY: &str = "/usr/sbin/policy-rc.d";
/// What a policy answers when an action is forbidden.
const FORBIDDEN: i32 = 101;
/// How often a policy is asked that is still open for writing.
const BUSY_TRIES: usize = 1_000;
const MARK: &str = "# Put here by `cargo xtask`, which takes it away again.";

const INSTALL: [&str; 4] = ["apt-get", "install", "--yes", "--no-install-recommends"];

/// The line that installs `parts`, for a person to run.
pub(super) fn line(parts: &[Part]) -> String {
    let packages = parts.iter().map(|part| part.package);
    INSTALL.into_iter().chain(packages).collect::<Vec<_>>().join(" ")
}

/// Installs `parts`. No service runs after it that did not run before, and none of the new ones
/// starts with the machine.
pub(super) fn run(parts: &[Part]) -> Outcome {
    eprintln!("servers: {}", line(parts));
    let _policy = Policy::forbid(Path::new(POLICY))?;
    // Lists that are there may be enough to install from, so a failure here is only told.
    if let Err(failure) = run_command(&mut apt_get(&["update", "--quiet"])) {
        eprintln!("servers: {failure}; going on with the lists that are there");
    }
    let packages: Vec<&str> = parts.iter().map(|part| part.package).collect();
    run_command(&mut apt_get(&[&INSTALL[1..], &packages].concat()))?;
    for part in parts.iter().filter(|part| part.is_service) {
        run_command(&mut command("update-rc.d", &[part.package, "disable"]))?;
    }
    eprintln!(
        "servers: installed; their services were not started and do not start with the machine"
    );
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = command("apt-get", arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A command that asks nothing and writes to our stderr.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(io::stderr());
    command
}

/// A policy in force; dropping it takes away what it put in place.
#[derive(Debug)]
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    /// Sees to it that the policy at `file` forbids to start services. Fails when there is one
    /// that allows it: it is somebody's decision, and not ours to change.
    fn forbid(file: &Path) -> Outcome<Self> {
        let failed = || Failure::of::<io::Error>(format!("writing `{}`", file.display()));
        match fs::read_to_string(file) {
            Ok(text) if text.contains(MARK) => fs::remove_file(file).map_err(failed())?,
            Ok(_) if forbids(file)? => return Ok(Policy { ours: None }),
            Ok(_) => {
                return Err(Failure::new(format!(
                    "`{}` lets packages start services, so nothing was installed",
                    file.display()
                )));
            }
            Err(_) => {}
        }
        let mut options = fs::OpenOptions::new();
        let mut written =
            options.write(true).create_new(true).mode(0o755).open(file).map_err(failed())?;
        let policy = Policy { ours: Some(file.to_path_buf()) };
        written.write_all(script(std::process::id()).as_bytes()).map_err(failed())?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(file) = &self.ours
            && let Err(error) = fs::remove_file(file)
        {
            eprintln!("servers: removing `{}`: {error}", file.display());
        }
    }
}

/// Forbids everything while the process `id` lives.
fn script(id: u32) -> String {
    format!("#!/bin/sh\n{MARK}\nkill -0 {id} 2>/dev/null && exit {FORBIDDEN}\nexit 0\n")
}

/// Whether the policy at `file` answers that a service may not be started.
fn forbids(file: &Path) -> Outcome<bool> {
    let mut command = Command::new(file);
    command.args(["redis-server", "start"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut status = command.status();
    // A process that another thread is just starting holds every open file of this one, the one
    // that wrote the policy too, for the moment until its own program runs.
    for _ in 0..BUSY_TRIES {
        if !status.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ExecutableFileBusy) {
            break;
        }
        thread::yield_now();
        status = command.status();
    }
    let status = status.map_err(Failure::of(format!("asking `{}`", file.display())))?;
    Ok(status.code() == Some(FORBIDDEN))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(text: Option<&str>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy-rc.d");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        (folder, file)
    }

    #[test]
    fn services_are_forbidden_as_long_as_it_is_held() {
        let (_folder, file) = place(None);
        let policy = Policy::forbid(&file).unwrap();
        assert!(forbids(&file).unwrap());
        drop(policy);
        assert!(!file.exists());
    }

    #[test]
    fn what_a_killed_process_left_behind_forbids_nothing_and_is_replaced() {
        // No process has the highest id that fits.
        let (_folder, file) = place(Some(&script(u32::MAX >> 1)));
        assert!(!forbids(&file).unwrap());
        let policy = Policy::forbid(&file).unwrap();
        assert!(forbids(&file).unwrap());
        drop(policy);
        assert!(!file.exists());
    }

    #[test]
    fn a_policy_of_somebody_else_is_not_touched() {
        let strict = "#!/bin/sh\nexit 101\n";
        let (_folder, file) = place(Some(strict));
        drop(Policy::forbid(&file).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), strict);

        let lax = "#!/bin/sh\nexit 0\n";
        let (_folder, file) = place(Some(lax));
        let failure = Policy::forbid(&file).unwrap_err();
        assert!(failure.to_string().contains("nothing was installed"), "{failure}");
        assert_eq!(fs::read_to_string(&file).unwrap(), lax);
    }
}
