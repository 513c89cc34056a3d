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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cache_enterprise_core::{Error, Result, StoredKey};
use parking_lot::Mutex;

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
    callers: AtomicUsize,
}

/// One of the callers of a connection, whatever way its read goes.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    reader: &'a Reader,
    /// How many there were when it came, itself among them.
    pub(crate) callers: usize,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.reader.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// The carrier, while it has nothing to do before so many wait.
    idle: Option<(Waker, usize)>,
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
    /// Counts a caller until what it is given is dropped.
    pub(crate) fn ask(&self) -> Asking<'_> {
        Asking { reader: self, callers: self.callers.fetch_add(1, Ordering::Relaxed) + 1 }
    }

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
            let waiting = queue.waiting.len();
            queue.idle.take_if(|(_, enough)| waiting >= *enough)
        };
        if let Some((carrier, _)) = idle {
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
    /// Whether it let others come since there was somebody to take along.
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
        Self { reader, fetch, policy, flights: Vec::new(), has_waited: false }
    }

    /// Brings the answers that are there.
    pub(crate) fn bring(&mut self, context: &mut Context<'_>) {
        self.flights.retain_mut(|flight| flight.poll(context).is_pending());
    }

    /// [Brings](Self::bring) the answers that are there, then takes those who wait along, if they
    /// are enough or no more are about to come.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        self.bring(context);
        if self.flights.len() >= self.policy.batches_max {
            return;
        }
        let boarded = {
            let mut queue = self.reader.queue.lock();
            if queue.waiting.is_empty() {
                queue.idle = Some((context.waker().clone(), 1));
                self.has_waited = false;
                return;
            }
            let enough = self.policy.enough(self.reader.callers.load(Ordering::Relaxed));
            let count = self.policy.together(queue.waiting.iter().map(|one| one.reply_bytes));
            let is_full = count < queue.waiting.len();
            if !self.has_waited && !is_full && count < enough {
                queue.idle = Some((context.waker().clone(), enough));
                self.has_waited = true;
                drop(queue);
                ring_after_others(context.waker().clone());
                return;
            }
            if is_full {
                queue.waiting.drain(..count).collect()
            } else {
                std::mem::replace(&mut queue.waiting, Vec::with_capacity(count))
            }
        };
        self.has_waited = false;
        self.depart(boarded, context);
        // Others may wait already; where none do, the next round finds that.
        context.waker().wake_by_ref();
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
    }
}

/// Rings once the tasks that are ready have run. Those who were just answered are among them, and
/// may ask again. The carrier cannot come back so late by itself: whoever makes enough of those
/// who wait could not wake it before.
fn ring_after_others(bell: Waker) {
    tokio::spawn(async move {
        tokio::task::yield_now().await;
        bell.wake();
    });
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
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;
    use tokio::sync::Semaphore;
    use tokio::task::{JoinHandle, JoinSet};

    /// Answers with the key's own text, as often as it is let.
    struct Echo {
        let_through: Semaphore,
        batches: Mutex<Vec<usize>>,
        is_broken: AtomicBool,
    }

    impl Echo {
        fn new(let_through: usize) -> Arc<Self> {
            Arc::new(Self {
                let_through: Semaphore::new(let_through),
                batches: Mutex::default(),
                is_broken: AtomicBool::new(false),
            })
        }
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
            let echo = Echo::new(let_through);
            let reader = Arc::<Reader>::default();
            let policy = Policy { batches_max: 4, ..Policy::new(16, false) };
            let mut carrier = Carrier::new(Arc::clone(&reader), Arc::clone(&echo), policy);
            let rounds = Rounds::new();
            let carry = poll_fn(move |context| {
                rounds.poll(context, |context| {
                    carrier.poll(context);
                    Poll::Pending
                })
            });
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
        let _asking = reader.ask();
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

    /// Counts how often it is rung.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_batch_leaves_as_soon_as_half_of_the_callers_wait() {
        let (reader, echo, bell) = (Arc::<Reader>::default(), Echo::new(0), Arc::<Bell>::default());
        let policy = Policy::new(16, false);
        let mut carrier = Carrier::new(Arc::clone(&reader), Arc::clone(&echo), policy);
        let waker = Waker::from(Arc::clone(&bell));
        let mut carry = || carrier.poll(&mut Context::from_waker(&waker));
        let mut seats = Vec::new();
        let mut rung_by = |count: u64| {
            let taken = (0..count).map(|n| reader.take_seat(&key(n), 100, Waker::noop()).unwrap());
            seats.extend(taken);
            bell.0.swap(0, Ordering::Relaxed)
        };
        let _callers: Vec<_> = (0..10).map(|_| reader.ask()).collect();
        carry();
        assert_eq!(rung_by(1), 1, "it had nothing to do");
        carry();
        assert_eq!((rung_by(3), echo.batches.lock().len()), (0, 0), "four are not enough");
        assert_eq!(rung_by(1), 1, "five are");
        carry();
        assert_eq!(*echo.batches.lock(), [5]);
    }

    #[tokio::test]
    async fn a_batch_that_nobody_completes_leaves_with_whoever_there_is() {
        let story = Story::new(Semaphore::MAX_PERMITS);
        let _elsewhere: Vec<_> = (0..10).map(|_| story.reader.ask()).collect();
        let reads = story.start(2).await;
        assert!(reads.join_all().await.into_iter().all(|read| read.is_ok()));
        assert_eq!(story.batches(), [2], "never six");
        assert_eq!(story.reader.callers.load(Ordering::Relaxed), 10, "who has read is no caller");
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
