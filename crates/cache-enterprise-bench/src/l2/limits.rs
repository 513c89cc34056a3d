//! `redis-benchmark`, which speaks the protocol and does nothing else: how far a client could go.

use std::error::Error;
use std::process::{Command, Stdio};

use super::Measured;
use super::load::{Load, Sample};
use crate::rounds::Case;

/// Reads of one key with `pipeline` of them on their way in each of the connections.
pub(super) fn case(
    name: &'static str,
    port: u16,
    key: &str,
    pipeline: usize,
    load: Load,
) -> Case<Measured> {
    let reads = load.reads * if pipeline == 1 { 1 } else { 4 };
    let numbers =
        [("-p", usize::from(port)), ("-c", load.callers), ("-n", reads), ("-P", pipeline)];
    let mut arguments: Vec<String> = vec!["--csv".to_owned()];
    arguments.extend(numbers.iter().flat_map(|(flag, n)| [(*flag).to_owned(), n.to_string()]));
    arguments.extend(["GET".to_owned(), key.to_owned()]);
    Case::new(name, move || Ok(Sample { rate: run(&arguments)?, p50: None, cpu: None }))
}

fn run(arguments: &[String]) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new("redis-benchmark");
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("redis-benchmark, of redis-tools: {error}"))?;
    if !output.status.success() {
        return Err(format!("redis-benchmark ended with {}", output.status).into());
    }
    Ok(rate_in(&String::from_utf8_lossy(&output.stdout)).ok_or("redis-benchmark told no rate")?)
}

/// The second field of the last line.
fn rate_in(csv: &str) -> Option<f64> {
    // The first field, the command, may hold commas; the others are all numbers.
    let line = csv.lines().rfind(|line| line.starts_with('"'))?;
    let (_, numbers) = line.split_once("\",\"")?;
    numbers.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_behind_the_command() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET a,b\",\"20408.16\",\"0.047\"\n";
        assert_eq!(rate_in(csv), Some(20_408.16));
        assert_eq!(rate_in("Could not connect\n"), None);
    }
}
