//! The test's side of a fleet: servers, and members as child processes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_testkit::servers::{MemcachedServer, RedisCluster, RedisServer};
use cache_enterprise_testkit::wait;
use parking_lot::Mutex;

use crate::member::{PLACE, Seat};

/// Real servers, and how members reach them.
pub(crate) struct Place {
    seat: Seat,
    _servers: Vec<Box<dyn std::any::Any>>,
}

impl Place {
    pub(crate) fn on_redis(server: RedisServer) -> Self {
        let url = server.url();
        Self::new("redis", vec![url.clone()], vec![url], vec![Box::new(server)])
    }

    pub(crate) fn on_a_cluster(cluster: RedisCluster) -> Self {
        let addresses = cluster.addresses();
        Self::new("cluster", addresses.clone(), addresses, vec![Box::new(cluster)])
    }

    pub(crate) fn on_memcached(values: MemcachedServer, bus: RedisServer) -> Self {
        let (at, url) = (values.address(), bus.url());
        Self::new("memcached", vec![at], vec![url], vec![Box::new(values), Box::new(bus)])
    }

    fn new(
        kind: &str,
        values: Vec<String>,
        bus: Vec<String>,
        servers: Vec<Box<dyn std::any::Any>>,
    ) -> Self {
        let seat = Seat { manager: String::new(), kind: kind.to_owned(), values, bus };
        Self { seat, _servers: servers }
    }

    /// A process of the manager called `manager`.
    pub(crate) fn member(&self, manager: &str) -> Member {
        Member::start(&Seat { manager: manager.to_owned(), ..self.seat.clone() })
    }
}

/// One child process.
pub(crate) struct Member {
    child: Child,
    input: Mutex<ChildStdin>,
    said: Arc<Mutex<Said>>,
    next: AtomicU64,
}

#[derive(Default)]
struct Said {
    answers: HashMap<u64, String>,
    began: Vec<u64>,
    asks: Vec<(u64, u64)>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["began", key] => self.began.push(key.parse().unwrap()),
            ["asks", load, key] => self.asks.push((load.parse().unwrap(), key.parse().unwrap())),
            _ => {
                let (number, answer) = line.split_once(' ').unwrap();
                self.answers.insert(number.parse().unwrap(), answer.to_owned());
            }
        }
    }
}

/// An answer that is to come.
pub(crate) struct Pending<'a> {
    member: &'a Member,
    number: u64,
}

impl Pending<'_> {
    pub(crate) fn is_answered(&self) -> bool {
        self.member.said.lock().answers.contains_key(&self.number)
    }

    pub(crate) fn answer(self) -> String {
        wait::until("the member answers", || self.is_answered());
        self.member.said.lock().answers.remove(&self.number).unwrap()
    }
}

impl Member {
    pub(crate) fn start(seat: &Seat) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "member::a_member_obeys_its_input", "--nocapture"])
            .env(PLACE, seat.to_line())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let (heard, output) = (Arc::clone(&said), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, line)) = line.split_once("> ") {
                    heard.lock().hear(line);
                }
            }
        });
        let input = Mutex::new(child.stdin.take().unwrap());
        let member = Self { child, input, said, next: AtomicU64::new(1) };
        assert_eq!(Pending { member: &member, number: 0 }.answer(), "ready");
        member
    }

    /// Tells the member what to do; it begins at once.
    pub(crate) fn begin(&self, command: &str) -> Pending<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        writeln!(self.input.lock(), "{number} {command}").unwrap();
        Pending { member: self, number }
    }

    pub(crate) fn ask(&self, command: &str) -> String {
        self.begin(command).answer()
    }

    /// Waits until a gated loader of `key` runs.
    pub(crate) fn await_load(&self, key: u64) {
        wait::until("the loader runs", || self.said.lock().began.contains(&key));
    }

    /// The loads, each with its key, that began to ask for a value since the last call.
    pub(crate) fn asks(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.said.lock().asks)
    }

    /// Waits until the member's answer is the expected one.
    pub(crate) fn await_answer(&self, command: &str, expected: &str) {
        let what = format!("{command} answers {expected}");
        wait::until(&what, || self.ask(command) == expected);
    }

    /// Ends the process as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A stopped process ends as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
