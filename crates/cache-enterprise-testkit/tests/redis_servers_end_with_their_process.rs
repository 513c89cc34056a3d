//! A test process that is killed drops nothing, and its servers end all the same.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait;

/// Set in the process that is to be killed: it keeps its servers until its input ends.
const HOLD: &str = "CE_HOLD_SERVERS";
const SERVER: &str = "server at ";

/// Two servers, of which one hangs, are there. In the process that is killed they are also held.
#[test]
fn a_process_has_its_servers() {
    let servers = [RedisServer::start(), RedisServer::start()];
    servers[1].pause();
    for server in &servers {
        assert!(TcpStream::connect(server.address()).is_ok());
        // Past the harness, which keeps what a test prints until the test ends.
        writeln!(std::io::stdout(), "{SERVER}{} {}", server.address(), server.folder().display())
            .unwrap();
    }
    if std::env::var_os(HOLD).is_some() {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}

fn process_with_servers() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_has_its_servers", "--nocapture"])
        .env(HOLD, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Address and folder of both servers, as the process tells them.
fn told(process: &mut Child) -> Vec<(String, PathBuf)> {
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let server = |line: String| {
        let (_, server) = line.split_once(SERVER)?;
        let (address, folder) = server.split_once(' ')?;
        Some((address.to_owned(), PathBuf::from(folder)))
    };
    lines.filter_map(server).take(2).collect()
}

#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    let mut process = process_with_servers();
    let servers = told(&mut process);
    assert_eq!(servers.len(), 2);
    process.kill().unwrap();
    process.wait().unwrap();
    for (address, folder) in servers {
        wait::until("the server is gone", || TcpStream::connect(&address).is_err());
        wait::until("its folder is gone", || !folder.exists());
    }
}
