//! Reads that arrive together travel together.
//!
//! ```text
//! get ──> queue ──(the task of the connection, a few on their way)──> MGET
//!                                                   each caller its part <──┘
//! ```
//!
//! The task that drives a connection carries its batches too: of all tasks only that of a caller
//! is woken for an answer. A caller has a seat and takes what is put there. One that leaves
//! leaves its seat empty; nobody moves up, so no answer can reach the wrong caller. And one that
//! is polled no more holds nobody up.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cache_enterprise_core::{Error, Result, StoredKey};
use parking_lot::Mutex;

use super::bell::Round;
use super::policy::Policy;
use crate::error;

/// What lies under a key, undecoded.
pub(crate) type Answer = Result<Option<Bytes>>;

/// The answers of a batch on its way, in the order of its keys.
pub(crate) type Answers = Pin<Box<dyn Future<Output = Vec<Answer>> + Send>>;

/// How a batch of reads is made.
pub(crate) trait Fetch: Send + 'static {
    /// Reads several keys.
    fn fetch_all(&self, keys: Vec<StoredKey>) -> Answers;

    /// Why no answers come any more.
    fn fault(&self) -> Error;
}

/// Where callers ask for what a [`Carrier`] brings.
#[derive(Default)]
pub(crate) struct Reader {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// The carrier, while it has nothing to do.
    idle: Option<Waker>,
    /// Why nobody carries them any more.
    ended: Option<Error>,
}

struct Waiting {
    key: StoredKey,
    /// Bytes that the reply is expected to have.
    reply_bytes: usize,
    seat: Arc<Seat>,
}

/// Where the answer of one caller is put.
struct Seat {
    state: Mutex<State>,
}

enum State {
    Waiting(Waker),
    Answered(Answer),
    Taken,
}

impl Reader {
    /// Reads a key whose reply is expected to be of `reply_bytes`.
    pub(crate) async fn get(&self, key: &StoredKey, reply_bytes: usize) -> Answer {
        let mut seat: Option<Arc<Seat>> = None;
        let read = poll_fn(|context| match &seat {
            Some(seat) => seat.poll(context),
            None => match self.take_seat(key, reply_bytes, context.waker()) {
                Ok(taken) => {
                    seat = Some(taken);
                    Poll::Pending
                }
                Err(why) => Poll::Ready(Err(why)),
            },
        });
        read.await
    }

    fn take_seat(&self, key: &StoredKey, reply_bytes: usize, caller: &Waker) -> Result<Arc<Seat>> {
        let seat = Arc::new(Seat { state: Mutex::new(State::Waiting(caller.clone())) });
        let waiting = Waiting { key: key.clone(), reply_bytes, seat: Arc::clone(&seat) };
        let idle = {
            let mut queue = self.queue.lock();
            if let Some(why) = &queue.ended {
                return Err(why.clone());
            }
            queue.waiting.push(waiting);
            queue.idle.take()
        };
        if let Some(carrier) = idle {
            carrier.wake();
        }
        Ok(seat)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("waiting", &self.queue.lock().waiting.len()).finish()
    }
}

impl Seat {
    fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let mut state = self.state.lock();
        if let State::Waiting(caller) = &mut *state {
            caller.clone_from(context.waker());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Answered(answer) => Poll::Ready(answer),
            State::Waiting(_) | State::Taken => Poll::Ready(Err(error::lost_read())),
        }
    }

    fn put(&self, answer: Answer) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Answered(answer));
        if let State::Waiting(caller) = before {
            caller.wake();
        }
    }

    /// Whether its caller left.
    fn is_empty(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }
}

/// Takes those who wait along, and brings them their answers. Dropped, it tells all of them that
/// none come.
pub(crate) struct Carrier<F: Fetch> {
    reader: Arc<Reader>,
    fetch: F,
    policy: Policy,
    flights: Vec<Flight>,
    /// Reads on their way when the latest batch left.
    crowd: usize,
    /// Whether it let other tasks run since there was somebody to take along.
    has_waited: bool,
}

/// A batch on its way.
struct Flight {
    seats: Vec<Arc<Seat>>,
    answers: Answers,
}

impl Flight {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.answers.as_mut().poll(context).map(|answers| {
            let mut answers = answers.into_iter();
            for seat in self.seats.drain(..) {
                seat.put(answers.next().unwrap_or_else(|| Err(error::lost_read())));
            }
        })
    }
}

/// Lost in the middle of its work, by a panic, it leaves nobody waiting.
impl Drop for Flight {
    fn drop(&mut self) {
        self.seats.drain(..).for_each(|seat| seat.put(Err(error::lost_read())));
    }
}

impl<F: Fetch> Carrier<F> {
    pub(crate) fn new(reader: Arc<Reader>, fetch: F, policy: Policy) -> Self {
        Self { reader, fetch, policy, flights: Vec::new(), crowd: 0, has_waited: false }
    }

    /// Brings the answers that are there, then takes those who wait along.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Round {
        self.flights.retain_mut(|flight| flight.poll(context).is_pending());
        if self.flights.len() >= self.policy.batches_max {
            return Round::Rest;
        }
        let boarded = {
            let mut queue = self.reader.queue.lock();
            if queue.waiting.is_empty() {
                queue.idle = Some(context.waker().clone());
                self.has_waited = false;
                return Round::Rest;
            }
            if !self.has_waited && self.expects_more(queue.waiting.len()) {
                self.has_waited = true;
                return Round::AfterOthers;
            }
            let count = self.policy.together(queue.waiting.iter().map(|one| one.reply_bytes));
            if count == queue.waiting.len() {
                std::mem::replace(&mut queue.waiting, Vec::with_capacity(count))
            } else {
                queue.waiting.drain(..count).collect()
            }
        };
        self.has_waited = false;
        self.depart(boarded, context);
        // Others may wait already; where none do, the next round finds that.
        context.waker().wake_by_ref();
        Round::Rest
    }

    /// Whether others are likely to come as soon as they have run: of a crowd some were answered a
    /// moment ago. Few callers are not kept waiting.
    fn expects_more(&self, waiting: usize) -> bool {
        waiting < self.policy.keys_max && self.crowd >= self.policy.crowd_min
    }

    fn depart(&mut self, mut boarded: Vec<Waiting>, context: &mut Context<'_>) {
        boarded.retain(|one| !one.seat.is_empty());
        if boarded.is_empty() {
            return;
        }
        let (keys, seats) = boarded.into_iter().map(|one| (one.key, one.seat)).unzip();
        let mut flight = Flight { seats, answers: self.fetch.fetch_all(keys) };
        if flight.poll(context).is_pending() {
            self.flights.push(flight);
        }
        self.crowd = self.flights.iter().map(|flight| flight.seats.len()).sum();
    }
}

impl<F: Fetch> Drop for Carrier<F> {
    fn drop(&mut self) {
        let why = self.fetch.fault();
        let left = {
            let mut queue = self.reader.queue.lock();
            queue.ended = Some(why.clone());
            std::mem::take(&mut queue.waiting)
        };
        let waiting = left.into_iter().map(|one| one.seat);
        let on_their_way = self.flights.iter_mut().flat_map(|flight| flight.seats.drain(..));
        waiting.chain(on_their_way).for_each(|seat| seat.put(Err(why.clone())));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::bell::Rounds;
    use super::*;
    use cache_enterprise_core::{ErrorKind, KeySpace};
    use cache_enterprise_testkit::Seed;
    use rand::RngExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::Semaphore;
    use tokio::task::{JoinHandle, JoinSet};

    /// Answers with the key's own text, as often as it is let.
    struct Echo {
        let_through: Semaphore,
        batches: Mutex<Vec<usize>>,
        is_broken: AtomicBool,
    }

    impl Fetch for Arc<Echo> {
        fn fetch_all(&self, keys: Vec<StoredKey>) -> Answers {
            let echo = Arc::clone(self);
            echo.batches.lock().push(keys.len());
            Box::pin(async move {
                echo.let_through.acquire().await.unwrap().forget();
                assert!(!echo.is_broken.load(Ordering::Relaxed), "broken on purpose");
                let text = |key: &StoredKey| Bytes::copy_from_slice(key.as_str().as_bytes());
                keys.iter().map(|key| Ok(Some(text(key)))).collect()
            })
        }

        fn fault(&self) -> Error {
            error::closed()
        }
    }

    /// A reader whose carrier has a task of its own.
    struct Story {
        reader: Arc<Reader>,
        echo: Arc<Echo>,
        carrying: JoinHandle<()>,
    }

    impl Story {
        fn new(let_through: usize) -> Self {
            let echo = Arc::new(Echo {
                let_through: Semaphore::new(let_through),
                batches: Mutex::default(),
                is_broken: AtomicBool::new(false),
            });
            let reader = Arc::<Reader>::default();
            let policy = Policy { batches_max: 4, ..Policy::new(16, false) };
            let mut carrier = Carrier::new(Arc::clone(&reader), Arc::clone(&echo), policy);
            let rounds = Rounds::new();
            let carry =
                poll_fn(move |context| rounds.poll(context, |context| carrier.poll(context)));
            Self { reader, echo, carrying: tokio::spawn(carry) }
        }

        /// Starts so many reads, and lets them and the carrier run until nothing moves.
        async fn start(&self, count: u64) -> JoinSet<Result<()>> {
            let mut reads = JoinSet::new();
            for number in 0..count {
                let reader = Arc::clone(&self.reader);
                reads.spawn(async move { get(&reader, number).await });
            }
            settle().await;
            reads
        }

        fn batches(&self) -> Vec<usize> {
            self.echo.batches.lock().clone()
        }
    }

    /// More turns than any story has steps, on a runtime of one thread.
    async fn settle() {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    fn key(number: u64) -> StoredKey {
        KeySpace::new("shop", "acme", "users").unwrap().key(&number).unwrap()
    }

    async fn get(reader: &Reader, number: u64) -> Result<()> {
        let answer = reader.get(&key(number), 100).await?.unwrap();
        assert_eq!(answer, key(number).as_str(), "an answer reached the wrong caller");
        Ok(())
    }

    #[tokio::test]
    async fn a_lone_caller_waits_for_nobody() {
        let story = Story::new(Semaphore::MAX_PERMITS);
        for number in 0..50 {
            get(&story.reader, number).await.unwrap();
        }
        assert_eq!(story.batches(), [1; 50]);
    }

    #[tokio::test]
    async fn many_reads_leave_in_batches_of_bounded_size_and_number() {
        let story = Story::new(0);
        let reads = story.start(120).await;
        assert_eq!(story.batches().len(), 4, "the others wait for one to come back");
        story.echo.let_through.add_permits(Semaphore::MAX_PERMITS);
        assert!(reads.join_all().await.into_iter().all(|read| read.is_ok()));
        let batches = story.batches();
        assert_eq!(batches.iter().sum::<usize>(), 120, "{batches:?}");
        assert!(batches.iter().all(|keys| *keys <= 16), "{batches:?}");
    }

    #[tokio::test]
    async fn nobody_reads_for_callers_who_left_before_their_batch() {
        let story = Story::new(0);
        let mut reads = story.start(120).await;
        let on_their_way: usize = story.batches().iter().sum();
        reads.shutdown().await;
        let reads = story.start(3).await;
        story.echo.let_through.add_permits(Semaphore::MAX_PERMITS);
        assert!(reads.join_all().await.into_iter().all(|read| read.is_ok()));
        assert_eq!(story.batches().iter().sum::<usize>(), on_their_way + 3);
    }

    #[tokio::test]
    async fn callers_of_a_carrier_that_ends_are_told_why() {
        let story = Story::new(0);
        let reads = story.start(120).await;
        story.carrying.abort();
        let told = reads.join_all().await;
        assert!(told.iter().all(|read| read.as_ref().unwrap_err().kind() == ErrorKind::Closed));
        let late = get(&story.reader, 1).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Closed);
    }

    #[tokio::test]
    async fn a_carrier_that_panics_leaves_nobody_waiting() {
        let story = Story::new(0);
        let reads = story.start(120).await;
        story.echo.is_broken.store(true, Ordering::Relaxed);
        story.echo.let_through.add_permits(1);
        assert!(reads.join_all().await.into_iter().all(|read| read.is_err()));
        assert!(story.carrying.await.unwrap_err().is_panic());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_thousand_dropped_callers_mix_no_answers() {
        let story = Story::new(Semaphore::MAX_PERMITS);
        let seed = Seed::from_env_or(0xd209);
        let mut callers = JoinSet::new();
        for caller in 0..64_u64 {
            let (reader, mut rng) =
                (Arc::clone(&story.reader), seed.part(&caller.to_string()).rng());
            callers.spawn(async move {
                for _ in 0..100_000 / 64 + 1 {
                    let number = rng.random_range(0..1_000);
                    let mut read = std::pin::pin!(get(&reader, number));
                    // Polled some times, then dropped, or let run to its end.
                    for _ in 0..rng.random_range(0..4) {
                        let polled = poll_fn(|context| Poll::Ready(read.as_mut().poll(context)));
                        match polled.await {
                            Poll::Ready(answer) => answer.unwrap(),
                            Poll::Pending => {
                                tokio::task::yield_now().await;
                                continue;
                            }
                        }
                        break;
                    }
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap_or_else(|fault| panic!("{fault}; replay with {}", seed.replay()));
        }
        assert!(story.reader.queue.lock().ended.is_none(), "the carrier lives");
    }
}
