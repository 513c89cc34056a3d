//! The harness itself: a server is there when a test asks for it and gone when the test is.
#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cache_enterprise_testkit::servers::{Program, RedisServer};
use cache_enterprise_testkit::wait;

#[test]
fn a_server_answers_and_is_gone_with_its_test() {
    let redis = RedisServer::start();
    assert_eq!(redis.cli(&["SET", "key", "value"]), "OK");
    assert_eq!(redis.cli(&["GET", "key"]), "value");
    let (address, folder) = (redis.address(), redis.folder().to_path_buf());
    assert!(TcpStream::connect(&address).is_ok() && folder.is_dir());
    drop(redis);
    assert!(TcpStream::connect(&address).is_err(), "{address} still answers");
    assert!(!folder.exists());
}

#[test]
fn a_killed_server_comes_back_empty_on_its_port() {
    let redis = RedisServer::start();
    let (port, pid) = (redis.port(), redis.pid());
    redis.cli(&["SET", "key", "value"]);
    redis.kill();
    assert!(!redis.is_running());
    assert!(TcpStream::connect(redis.address()).is_err());
    redis.restart();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), pid);
    assert_eq!(redis.cli(&["GET", "key"]), "");
}

#[test]
fn a_server_that_ended_by_itself_does_not_run() {
    let redis = RedisServer::start();
    assert!(redis.is_running());
    assert!(redis.log().contains("Ready to accept connections"));
    redis.terminate();
    assert!(!redis.is_running());
    redis.restart();
    assert_eq!(redis.cli(&["SHUTDOWN"]), "");
    wait::until("the server has ended", || !redis.is_running());
    redis.restart();
    assert!(redis.is_running());
}

#[test]
fn what_is_written_to_disk_survives_a_restart_when_asked() {
    let redis =
        RedisServer::options().arg("appendonly", "yes").arg("appendfsync", "always").start();
    redis.cli(&["SET", "key", "value"]);
    redis.restart();
    assert_eq!(redis.cli(&["GET", "key"]), "value");
}

#[test]
fn a_paused_server_hangs_and_goes_on() {
    use std::io::{ErrorKind, Read, Write};
    use std::time::Duration;

    let redis = RedisServer::start();
    redis.pause();
    assert!(!redis.is_running());
    let mut client = TcpStream::connect(redis.address()).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = [0; 7];
    let waited = client.read(&mut answer).unwrap_err();
    assert!(matches!(waited.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waited}");
    redis.resume();
    client.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_paused_server_is_gone_with_its_test_too() {
    let redis = RedisServer::start();
    redis.pause();
    let address = redis.address();
    drop(redis);
    assert!(TcpStream::connect(&address).is_err(), "{address} still answers");
}

#[test]
fn users_enter_with_their_password_alone() {
    let redis = RedisServer::options().user("app", "secret").start();
    assert_eq!(redis.cli(&["ACL", "WHOAMI"]), "app");
    let other = RedisServer::options().password("pass word").start();
    assert_eq!(other.cli(&["ACL", "WHOAMI"]), "default");
    for server in [&redis, &other] {
        use std::io::{Read, Write};
        let mut stranger = TcpStream::connect(server.address()).unwrap();
        stranger.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        stranger.write_all(b"PING\r\n").unwrap();
        let mut answer = [0; 7];
        stranger.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"-NOAUTH");
    }
}

#[test]
fn tls_servers_show_their_certificates() {
    let redis = RedisServer::options().tls().start();
    assert!(redis.url().starts_with("rediss://127.0.0.1:"));
    assert_eq!(redis.cli(&["PING"]), "PONG");
    let wrong = RedisServer::options().tls_for_another_name().start();
    assert_eq!(wrong.cli(&["PING"]), "PONG", "the judge does not look at names");
}

#[test]
fn tls_servers_and_their_clients_know_whom_to_trust() {
    let redis = RedisServer::options().client_certificates().user("app", "secret").start();
    assert_eq!(redis.cli(&["ACL", "WHOAMI"]), "app");
    let files = redis.certificates();
    let client = (files.client_certificate_file(), files.client_key_file());
    assert!(shakes_hands(&redis, &files.ca_file(), Some(&client)));
    assert!(!shakes_hands(&redis, &files.ca_file(), None), "without a certificate of the client");
    assert!(!shakes_hands(&redis, &files.stranger_ca_file(), Some(&client)), "a stranger's CA");
}

/// Whether a client that trusts `ca` gets as far as to be asked for its password.
fn shakes_hands(server: &RedisServer, ca: &Path, client: Option<&(PathBuf, PathBuf)>) -> bool {
    let search_path = std::env::var_os("PATH").unwrap();
    let mut judge = Command::new(Program::RedisCli.find(&search_path).unwrap());
    judge.args(["-h", "localhost", "-p", &server.port().to_string(), "--tls", "--cacert"]).arg(ca);
    if let Some((certificate, key)) = client {
        judge.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    let output = judge.arg("PING").stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).starts_with("NOAUTH")
}

#[test]
fn the_programs_tell_their_versions() {
    let search_path = std::env::var_os("PATH").unwrap();
    for program in [Program::RedisServer, Program::RedisCli] {
        let version = program.version(&program.find(&search_path).unwrap());
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
    }
}

#[test]
#[should_panic(expected = "apt-get install")]
fn a_missing_program_is_a_failure_with_the_line_to_run() {
    RedisServer::options().in_search_path("").start();
}

#[test]
#[should_panic(expected = "Bad directive")]
fn a_server_that_ends_at_once_shows_its_log() {
    RedisServer::options().arg("no-such-directive", "1").start();
}
