//! What one command sets, the next one reads: values, lives, tags, and clear answers for the rest.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn cachectl(arguments: &[&str], config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cachectl"))
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_value_lives_from_command_to_command_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    let disk = folder.path().join("disk");
    fs::write(&config, format!(r#"{{"levels": {{"1": {{"path": {disk:?}}}}}}}"#)).unwrap();

    let set = ["set", "greeting", "hello", "--ttl", "5m", "--tag", "words"];
    assert_eq!(text(&cachectl(&set, &config)), "stored\n");
    assert_eq!(text(&cachectl(&["get", "greeting"], &config)), "hello\n");
    let left: f64 = text(&cachectl(&["ttl", "greeting"], &config)).trim().parse().unwrap();
    assert!((200.0..=330.0).contains(&left), "{left}");

    let inspected = text(&cachectl(&["inspect", "greeting"], &config));
    assert!(inspected.contains("words") && inspected.contains("raw"), "{inspected}");
    assert!(!inspected.contains("hello"), "a value is shown only when asked for: {inspected}");
    let shown = text(&cachectl(&["inspect", "greeting", "--show-value"], &config));
    assert!(shown.contains("hello"), "{shown}");

    let other_tenant = cachectl(&["get", "greeting", "--tenant", "acme"], &config);
    assert_eq!(other_tenant.status.code(), Some(1));
    assert!(text(&cachectl(&["stats"], &config)).contains("generations"));
    assert_eq!(text(&cachectl(&["del", "greeting"], &config)), "removed\n");
    assert_eq!(cachectl(&["get", "greeting"], &config).status.code(), Some(1));
}

#[test]
fn settings_that_cannot_be_used_are_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.toml");
    fs::write(&config, "nmae = \"shop\"\ncolour = 7\n").unwrap();
    let binary = env!("CARGO_BIN_EXE_cachectl");
    let check = Command::new(binary).args(["config", "check"]).arg(&config).output().unwrap();
    let stderr = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("nmae") && stderr.contains("colour"), "all at once: {stderr}");
}

#[test]
fn completions_name_the_commands() {
    let binary = env!("CARGO_BIN_EXE_cachectl");
    let bash = Command::new(binary).args(["completions", "bash"]).output().unwrap();
    let script = text(&bash);
    assert!(script.contains("inspect") && script.contains("demo"));
}
