//! Figures of the binary `counted`, whose allocator counts.

use std::error::Error;
use std::process::{Command, Stdio};

use crate::report::{Line, Report, progress};

/// Builds and runs `counted` for one group and prints the lines it gives.
pub(crate) fn run(report: &mut Report, group: &str) -> Result<(), Box<dyn Error>> {
    progress(&format!("allocations of group {group}, in a process of its own"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--profile", "bench", "-p", env!("CARGO_PKG_NAME")]);
    command.args(["--bin", "counted", "--", group]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("`counted` ended with {}", output.status).into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        report.line(&serde_json::from_str::<Line>(line)?)?;
    }
    Ok(())
}
