//! A machine without the servers: the tests fail before anything is built, with the line to run.

use std::process::Command;

#[test]
fn an_empty_search_path_ends_in_the_line_to_run() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("test")
        .env("PATH", "")
        .output()
        .expect("cargo has built the program");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "something ran: {}", String::from_utf8_lossy(&output.stdout));
    assert!(told.contains("missing: redis-server, redis-cli, memcached"), "{told}");
    let line =
        "run: apt-get install --yes --no-install-recommends redis-server redis-tools memcached";
    assert!(told.lines().count() == 1 && told.contains(line), "{told}");
}
