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
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cache_enterprise_core::{Result, StoredKey};
use parking_lot::Mutex;

use super::policy::{Latest, Policy, Way};
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
    /// Reads on their way by themselves. Counted without a lock: most reads touch nothing else.
    direct: AtomicU32,
    /// Keys of the latest batches, as [`Latest`] holds them: reads are gathered while they pay.
    latest: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
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
        Self {
            shared: Arc::new(Shared {
                fetch,
                policy,
                direct: AtomicU32::new(0),
                latest: AtomicU32::new(0),
                queue: Mutex::default(),
            }),
        }
    }

    pub(crate) fn fetch(&self) -> &F {
        &self.shared.fetch
    }

    /// Reads a key whose reply is expected to be of `reply_bytes`.
    pub(crate) async fn get(&self, key: &StoredKey, reply_bytes: usize) -> Answer {
        match self.board(key, reply_bytes) {
            // Large values can pay for a box, which keeps the futures of small ones small.
            Boarded::Aside => Box::pin(self.shared.fetch.fetch_aside(key)).await,
            Boarded::Direct(_on_its_way) => self.shared.fetch.fetch(key).await,
            Boarded::Batch(mut seat) => poll_fn(|context| seat.poll(context)).await,
        }
    }

    fn board(&self, key: &StoredKey, reply_bytes: usize) -> Boarded<'_> {
        let Shared { policy, direct, latest, queue, .. } = &*self.shared;
        let on_their_way = direct.load(Ordering::Relaxed);
        let gathers = policy.gathers(Latest(latest.load(Ordering::Relaxed)));
        match policy.way(reply_bytes, on_their_way, gathers) {
            Way::Aside => Boarded::Aside,
            Way::Direct => {
                direct.fetch_add(1, Ordering::Relaxed);
                Boarded::Direct(OnItsWay(direct))
            }
            Way::Batch(keys_max) => {
                let mut queue = queue.lock();
                if !gathers {
                    latest.store(policy.first().0, Ordering::Relaxed);
                }
                Boarded::Batch(self.take_seat(&mut queue, key, keys_max))
            }
        }
    }

    fn take_seat(&self, queue: &mut Queue, key: &StoredKey, keys_max: usize) -> Seat {
        let last = queue.waiting.back();
        let seat = last.and_then(|batch| Batch::seat(batch, key, keys_max)).unwrap_or_else(|| {
            let batch = Arc::default();
            queue.waiting.push_back(Arc::clone(&batch));
            Batch::seat(&batch, key, keys_max).expect("an empty batch has room for one")
        });
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
    let mut carrier = Carrier { shared, is_counted: true };
    while let Some(batch) = carrier.next() {
        let mut journey = Journey { batch, answers: Vec::new() };
        let keys = journey.batch.depart();
        // Two carriers at once may lose one batch of the mean, which it can bear.
        let latest = Latest(carrier.shared.latest.load(Ordering::Relaxed)).and(keys.len());
        carrier.shared.latest.store(latest.0, Ordering::Relaxed);
        journey.answers = carrier.shared.fetch.fetch_all(keys).await;
    }
}

/// A task that carries batches, as the queue counts it.
struct Carrier<F> {
    shared: Arc<Shared<F>>,
    is_counted: bool,
}

impl<F> Carrier<F> {
    /// The next batch, or the end of this carrier: looked for and counted in one step, so that no
    /// batch is left to nobody.
    fn next(&mut self) -> Option<Arc<Batch>> {
        let mut queue = self.shared.queue.lock();
        let batch = queue.waiting.pop_front();
        if batch.is_none() {
            queue.carriers -= 1;
            self.is_counted = false;
        }
        batch
    }
}

/// Lost in the middle of its work, it leaves no batch behind: those who wait are told.
impl<F> Drop for Carrier<F> {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let left = {
            let mut queue = self.shared.queue.lock();
            queue.carriers -= 1;
            std::mem::take(&mut queue.waiting)
        };
        left.into_iter().for_each(|batch| batch.arrive(Vec::new()));
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
    /// A seat for the reader of a key, if there is one.
    fn seat(batch: &Arc<Self>, key: &StoredKey, keys_max: usize) -> Option<Seat> {
        let mut load = batch.load.lock();
        let number = load.keys.len();
        if number >= keys_max {
            return None;
        }
        load.keys.push(key.clone());
        load.wakers.push(None);
        Some(Seat { batch: Arc::clone(batch), number })
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
            // None: the task that carried the batch was ended.
            let answer = answers.get_mut(self.number).and_then(Option::take);
            return Poll::Ready(answer.unwrap_or_else(|| Err(error::lost_read())));
        }
        match &mut load.wakers[self.number] {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// Counts a read that goes by itself, until it is answered or its caller leaves.
struct OnItsWay<'a>(&'a AtomicU32);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::{Error, KeySpace};
    use cache_enterprise_testkit::Seed;
    use rand::RngExt;
    use std::sync::atomic::AtomicBool;
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    /// Answers with the key's own text, as often as it is let.
    struct Echo {
        let_through: Semaphore,
        batches: Mutex<Vec<usize>>,
        is_broken: AtomicBool,
    }

    impl Echo {
        fn answer(key: &StoredKey) -> Answer {
            Ok(Some(Bytes::copy_from_slice(key.as_str().as_bytes())))
        }

        async fn pass(&self) {
            self.let_through.acquire().await.unwrap().forget();
        }
    }

    impl Fetch for Arc<Echo> {
        async fn fetch(&self, key: &StoredKey) -> Answer {
            self.pass().await;
            Echo::answer(key)
        }

        async fn fetch_aside(&self, _: &StoredKey) -> Answer {
            Ok(Some(Bytes::from_static(b"aside")))
        }

        async fn fetch_all(&self, keys: Vec<StoredKey>) -> Vec<Answer> {
            self.pass().await;
            assert!(!self.is_broken.load(Ordering::Relaxed), "broken on purpose");
            self.batches.lock().push(keys.len());
            keys.iter().map(Echo::answer).collect()
        }
    }

    fn reader(let_through: usize) -> (Arc<Reader<Arc<Echo>>>, Arc<Echo>) {
        let echo = Arc::new(Echo {
            let_through: Semaphore::new(let_through),
            batches: Mutex::default(),
            is_broken: AtomicBool::new(false),
        });
        (Arc::new(Reader::new(Arc::clone(&echo), Policy::new(16))), echo)
    }

    fn key(number: u64) -> StoredKey {
        KeySpace::new("shop", "acme", "users").unwrap().key(&number).unwrap()
    }

    async fn get(reader: &Reader<Arc<Echo>>, number: u64) -> Result<(), Error> {
        let answer = reader.get(&key(number), 100).await?.unwrap();
        assert_eq!(answer, key(number).as_str(), "an answer reached the wrong caller");
        Ok(())
    }

    /// Starts so many reads and waits until each is on its way or has a seat.
    async fn start(reader: &Arc<Reader<Arc<Echo>>>, count: u64) -> JoinSet<Result<(), Error>> {
        let mut reads = JoinSet::new();
        for number in 0..count {
            let reader = Arc::clone(reader);
            reads.spawn(async move { get(&reader, number).await });
            tokio::task::yield_now().await;
        }
        reads
    }

    #[tokio::test]
    async fn few_reads_make_no_batch() {
        let (reader, echo) = reader(0);
        let reads = start(&reader, 20).await;
        echo.let_through.add_permits(20);
        assert!(reads.join_all().await.into_iter().all(|read| read.is_ok()));
        assert!(echo.batches.lock().is_empty());
        assert_eq!(reader.get(&key(1), 1 << 20).await.unwrap().unwrap(), "aside");
    }

    #[tokio::test]
    async fn many_reads_leave_in_batches_of_bounded_size() {
        let (reader, echo) = reader(0);
        let reads = start(&reader, 120).await;
        echo.let_through.add_permits(Semaphore::MAX_PERMITS);
        assert!(reads.join_all().await.into_iter().all(|read| read.is_ok()));
        let batches = echo.batches.lock().clone();
        assert_eq!(batches.iter().sum::<usize>(), 100, "20 went by themselves: {batches:?}");
        assert!(batches.iter().all(|keys| *keys <= 16), "{batches:?}");
    }

    #[tokio::test]
    async fn reads_go_straight_out_again_when_few_are_left() {
        let (reader, echo) = reader(0);
        let reads = start(&reader, 120).await;
        echo.let_through.add_permits(Semaphore::MAX_PERMITS);
        reads.join_all().await;
        for number in 0..50 {
            get(&reader, number).await.unwrap();
        }
        let batches = echo.batches.lock().len();
        for number in 0..50 {
            get(&reader, number).await.unwrap();
        }
        assert_eq!(echo.batches.lock().len(), batches);
    }

    #[tokio::test]
    async fn a_batch_that_is_lost_is_an_error_for_each_of_its_callers() {
        let (reader, echo) = reader(0);
        let reads = start(&reader, 60).await;
        echo.is_broken.store(true, Ordering::Relaxed);
        echo.let_through.add_permits(Semaphore::MAX_PERMITS);
        let failed = reads.join_all().await.into_iter().filter(Result::is_err).count();
        assert_eq!(failed, 40);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_thousand_dropped_callers_mix_no_answers() {
        let (reader, _) = reader(Semaphore::MAX_PERMITS);
        let seed = Seed::from_env_or(0xd209);
        let mut callers = JoinSet::new();
        for caller in 0..64_u64 {
            let (reader, mut rng) = (Arc::clone(&reader), seed.part(&caller.to_string()).rng());
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
        assert_eq!(reader.shared.direct.load(Ordering::Relaxed), 0);
    }
}
