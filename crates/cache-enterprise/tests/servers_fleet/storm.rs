//! Five processes that write, remove, invalidate, load and read at once, every read judged.
//!
//! The test is the origin as well: a loader asks it for the value, so the truth that a load shows
//! is that of a moment within the load. An operation is recorded from before it was sent until
//! after its answer was heard, which never judges a read too hard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cache_enterprise_testkit::simulation::{
    self, Acknowledged, Action, Judge, Load, Outcome, ProcessId, Recorder, Seen, Stamp, Strength,
};
use cache_enterprise_testkit::{Seed, wait};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::fleet::{Member, Place};
use crate::member::EVERY;

const KEYS: u64 = 4;
const PROCESSES: usize = 5;

/// Callers of each process.
const CALLERS: u64 = 2;

/// Operations of each caller.
const OPERATIONS: usize = 60;

/// How long a load takes: long enough that others change its key meanwhile.
const LOAD: Duration = Duration::from_millis(5);

/// Every process writes, removes and invalidates at once: no read gives what it must not, and when
/// they are done all read the same.
pub(crate) fn five_processes_agree_after_a_storm(place: &Place, name: &str) {
    let members: Vec<Member> = (0..PROCESSES).map(|_| place.member(name)).collect();
    let storm = Storm { recorder: Recorder::new(), stamps: Mutex::default() };
    let seed = Seed::from_env_or(0x5708);
    let _printed_if_the_test_panics = seed.print_on_panic();
    std::thread::scope(|scope| {
        for (number, member) in members.iter().enumerate() {
            for caller in 0..CALLERS {
                let me = Caller { storm: &storm, member, id: ProcessId { number, life: 0 } };
                let mut rng = seed.part(&format!("{number} {caller}")).rng();
                scope.spawn(move || (0..OPERATIONS).for_each(|_| me.act(&mut rng)));
            }
        }
    });
    storm.judge();
    for key in 0..KEYS {
        assert_eq!(members[0].ask(&format!("set {key} {key}")), "yes");
        for member in &members {
            let get = format!("get {key}");
            member.await_answer(&get, &key.to_string());
        }
    }
}

struct Storm {
    recorder: Recorder,
    /// What each value shows: a value is the number of who made it.
    stamps: Mutex<HashMap<u64, Stamp>>,
}

impl Storm {
    fn note(&self, stamp: Stamp) -> u64 {
        self.stamps.lock().insert(stamp.write, stamp);
        stamp.write
    }

    fn judge(&self) {
        let history = self.recorder.history();
        let violations = Judge::default().judge(&history);
        let told: Vec<String> = violations.iter().map(|one| one.tell(&history)).collect();
        assert_eq!(told, [""; 0]);
        let (mut values, mut changes) = (0, 0);
        for record in &history.records {
            match &record.end {
                Some((_, Outcome::Values(seen))) => values += usize::from(seen[0].is_some()),
                Some((_, Outcome::Done(Acknowledged::Everywhere))) => changes += 1,
                _ => {}
            }
        }
        let operations = history.records.len();
        assert!(values > operations / 10 && changes > operations / 10, "the storm was none");
        assert!(history.raced > 3, "only {} ends raced a load", history.raced);
    }
}

/// One of the callers of a process.
#[derive(Clone, Copy)]
struct Caller<'a> {
    storm: &'a Storm,
    member: &'a Member,
    id: ProcessId,
}

impl Caller<'_> {
    fn act(self, rng: &mut StdRng) {
        let key = rng.random_range(0..KEYS);
        let hard = |keys| Action::Invalidate(keys, Strength::Hard);
        match rng.random_range(0..10) {
            0 => self.change(Action::Write(vec![key]), ""),
            1 => {
                self.storm.recorder.change(key);
                self.change(hard(vec![key]), &format!("end {key}"));
            }
            2 => {
                (0..KEYS).for_each(|key| self.storm.recorder.change(key));
                self.change(hard((0..KEYS).collect()), &format!("invalidate {EVERY}"));
            }
            3..6 => self.read(key, &format!("read {key}")),
            // Every other key is loaded by one process for all.
            _ if key % 2 == 0 => self.read(key, &format!("fill {key} leased")),
            _ => self.read(key, &format!("fill {key}")),
        }
    }

    fn change(self, action: Action, command: &str) {
        let ongoing = self.storm.recorder.begin(self.id, action);
        let command = match ongoing.stamps() {
            [stamp] => format!("set {} {} {EVERY}", stamp.key, self.storm.note(*stamp)),
            _ => command.to_owned(),
        };
        // One that failed somewhere may have been done or not.
        let acknowledged = match &*self.member.ask(&command) {
            "yes" => Acknowledged::Everywhere,
            _ => Acknowledged::Nowhere,
        };
        ongoing.end(Outcome::Done(acknowledged));
    }

    fn read(self, key: u64, command: &str) {
        let ongoing = self.storm.recorder.begin(self.id, Action::Read(vec![key]));
        let pending = self.member.begin(command);
        let mut loads = Vec::new();
        wait::until("the member answers", || {
            self.serve(&mut loads);
            pending.is_answered() && loads.is_empty()
        });
        let seen = self.seen(key, &pending.answer());
        ongoing.end(Outcome::Values(vec![seen]));
    }

    /// Is the origin of the process's loads: each is given what was true when it asked.
    fn serve(self, loads: &mut Vec<(u64, Load, Instant)>) {
        let now = Instant::now();
        for (number, key) in self.member.asks() {
            loads.push((number, self.storm.recorder.load(key), now));
        }
        loads.retain(|(number, load, since)| {
            let is_done = since.elapsed() >= LOAD;
            if is_done {
                let value = self.storm.note(load.stamp());
                let _ = self.member.begin(&format!("give {number} {value}"));
            }
            !is_done
        });
    }

    fn seen(self, key: u64, answer: &str) -> Option<Seen> {
        let (value, place) = answer.split_once(' ')?;
        let value = value.parse().unwrap();
        let unknown = Stamp { key, generation: 0, write: u64::MAX };
        let stamp = self.storm.stamps.lock().get(&value).copied().unwrap_or(unknown);
        let place = match place {
            "near" => simulation::Place::Near,
            _ => simulation::Place::Asked,
        };
        Some(Seen { stamp, place, is_stale: false })
    }
}
