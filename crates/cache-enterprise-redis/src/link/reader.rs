//! Reads that arrive together travel together.
//!
//! ```text
//! get ──(few on their way)──────────────> GET
//!    └──(many)──> forming batch ──(at most 2 on their way)──> MGET ──> each caller its part
//! ```
//!
//! A caller has a seat in a batch, a number, and takes what lies there when the batch is done. One
//! that leaves leaves its seat empty; nobody moves up, so no answer can reach the wrong caller.
//! Batches are carried by a task of their own: a caller that is polled no more holds nobody up.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cache_enterprise_core::{Result, StoredKey};
use parking_lot::Mutex;

use super::policy::{Policy, Way};
use crate::error;

/// What lies under a key, undecoded.
pub(crate) type Answer = Result<Option<Bytes>>;

/// How one read and how a batch of them is made.
pub(crate) trait Fetch: Send + Sync + 'static {
    /// Reads one key.
    fn fetch(&self, key: &StoredKey) -> impl Future<Output = Answer> + Send;

    /// Reads a key whose value is large, where it holds up no other.
    fn fetch_aside(&self, key: &StoredKey) -> impl Future<Output = Answer> + Send;

    /// Reads several keys; an answer each, in their order.
    fn fetch_all(&self, keys: Vec<StoredKey>) -> impl Future<Output = Vec<Answer>> + Send;
}

/// Gathers reads in front of a connection.
pub(crate) struct Reader<F> {
    shared: Arc<Shared<F>>,
}

struct Shared<F> {
    fetch: F,
    policy: Policy,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Reads on their way by themselves.
    direct: u32,
    /// Tasks that carry batches.
    carriers: u32,
    /// Batches that wait; the last one has room.
    waiting: VecDeque<Arc<Batch>>,
}

#[derive(Default)]
struct Batch {
    load: Mutex<Load>,
}

#[derive(Default)]
struct Load {
    /// The keys by seat, until they are taken along.
    keys: Vec<StoredKey>,
    /// Who sits there, once it waited.
    wakers: Vec<Option<Waker>>,
    /// What there is for each seat, when the batch is back.
    answers: Option<Vec<Option<Answer>>>,
}

impl<F: Fetch> Reader<F> {
    pub(crate) fn new(fetch: F, policy: Policy) -> Self {
        Self { shared: Arc::new(Shared { fetch, policy, queue: Mutex::default() }) }
    }

    pub(crate) fn fetch(&self) -> &F {
        &self.shared.fetch
    }

    /// Reads a key whose reply is expected to be of `reply_bytes`.
    pub(crate) async fn get(&self, key: &StoredKey, reply_bytes: usize) -> Answer {
        match self.board(key, reply_bytes) {
            Boarded::Aside => self.shared.fetch.fetch_aside(key).await,
            Boarded::Direct(_on_its_way) => self.shared.fetch.fetch(key).await,
            Boarded::Batch(mut seat) => poll_fn(|context| seat.poll(context)).await,
        }
    }

    fn board(&self, key: &StoredKey, reply_bytes: usize) -> Boarded<'_> {
        let mut queue = self.shared.queue.lock();
        let waits = !queue.waiting.is_empty();
        match self.shared.policy.way(reply_bytes, queue.direct, waits) {
            Way::Aside => Boarded::Aside,
            Way::Direct => {
                queue.direct += 1;
                Boarded::Direct(OnItsWay(&self.shared.queue))
            }
            Way::Batch(keys_max) => Boarded::Batch(self.take_seat(&mut queue, key, keys_max)),
        }
    }

    fn take_seat(&self, queue: &mut Queue, key: &StoredKey, keys_max: usize) -> Seat {
        let has_room = queue.waiting.back().is_some_and(|batch| batch.seats() < keys_max);
        if !has_room {
            queue.waiting.push_back(Arc::default());
        }
        let batch = queue.waiting.back().expect("one was just put there");
        let seat = Seat { number: batch.join(key), batch: Arc::clone(batch) };
        if queue.carriers < self.shared.policy.batches_max {
            queue.carriers += 1;
            tokio::spawn(carry(Arc::clone(&self.shared)));
        }
        seat
    }
}

impl<F> fmt::Debug for Reader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("policy", &self.shared.policy).finish_non_exhaustive()
    }
}

/// How a read travels.
enum Boarded<'a> {
    Aside,
    Direct(OnItsWay<'a>),
    Batch(Seat),
}

/// Carries batches until none waits.
async fn carry<F: Fetch>(shared: Arc<Shared<F>>) {
    loop {
        let batch = {
            let mut queue = shared.queue.lock();
            let Some(batch) = queue.waiting.pop_front() else {
                queue.carriers -= 1;
                return;
            };
            batch
        };
        let mut journey = Journey { batch, answers: Vec::new() };
        let keys = journey.batch.depart();
        journey.answers = shared.fetch.fetch_all(keys).await;
    }
}

/// A batch on its way. Dropped, it hands out what there is: answers, or the news that none come.
struct Journey {
    batch: Arc<Batch>,
    answers: Vec<Answer>,
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.batch.arrive(std::mem::take(&mut self.answers));
    }
}

impl Batch {
    fn seats(&self) -> usize {
        self.load.lock().keys.len()
    }

    fn join(&self, key: &StoredKey) -> usize {
        let mut load = self.load.lock();
        load.keys.push(key.clone());
        load.wakers.push(None);
        load.keys.len() - 1
    }

    fn depart(&self) -> Vec<StoredKey> {
        std::mem::take(&mut self.load.lock().keys)
    }

    fn arrive(&self, answers: Vec<Answer>) {
        let wakers = {
            let mut load = self.load.lock();
            load.answers = Some(answers.into_iter().map(Some).collect());
            std::mem::take(&mut load.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A caller's place in a batch.
struct Seat {
    batch: Arc<Batch>,
    number: usize,
}

impl Seat {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        let mut load = self.batch.load.lock();
        if let Some(answers) = &mut load.answers {
            // None: the runtime ended the journey, or there were fewer answers than keys.
            let answer = answers.get_mut(self.number).and_then(Option::take);
            return Poll::Ready(answer.unwrap_or_else(|| Err(error::strange_reply())));
        }
        match &mut load.wakers[self.number] {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// Counts a read that goes by itself, until it is answered or its caller leaves.
struct OnItsWay<'a>(&'a Mutex<Queue>);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.lock().direct -= 1;
    }
}
