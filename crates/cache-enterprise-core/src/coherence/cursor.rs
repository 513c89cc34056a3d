//! A listener's place in the log of a bus.

use bytes::Bytes;

use crate::mutant;

/// The place of an entry in a log: later entries have greater ones.
///
/// ```
/// use cache_enterprise_core::coherence::LogId;
///
/// assert!(LogId(5, 1) > LogId(5, 0) && LogId(6, 0) > LogId(5, 9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64, pub u64);

/// A listener's place in a log whose entries are also pushed. A pure state machine.
///
/// A push tells its place and that of the entry before it, so what was missed shows with the next
/// push; a look at the newest entry of the log shows it where no push comes. Either way the log is
/// read again from the entry that was heard last. That entry has to be there, with the same bytes:
/// only then is the log the one that was heard so far, and nothing in between is missing. A log
/// that was trimmed beyond it, lost, or set back to an older copy does not begin so, and the
/// listener is told that it lost its place. No count and no date takes part in that: a log of two
/// entries and one of a million are judged alike.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::coherence::{Cursor, LogId, Pushed};
///
/// let frame = |text: &'static str| Bytes::from_static(text.as_bytes());
/// let mut cursor = Cursor::at(LogId(7, 0), frame("a"));
/// assert_eq!(cursor.pushed(LogId(8, 0), Some(LogId(7, 0)), &frame("b")), Pushed::Next);
/// // The push of 9-0 was lost.
/// assert_eq!(cursor.pushed(LogId(9, 1), Some(LogId(9, 0)), &frame("d")), Pushed::Gap);
///
/// let log = [(LogId(8, 0), frame("b")), (LogId(9, 0), frame("c")), (LogId(9, 1), frame("d"))];
/// assert_eq!(cursor.replay(log, true), Some(vec![frame("c"), frame("d")]));
/// assert!(!cursor.is_behind() && cursor.place() == LogId(9, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    place: LogId,
    /// What the entry there says.
    frame: Bytes,
    is_behind: bool,
}

/// What a push is to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The next entry: its frame is given.
    Next,
    /// An entry that was given before.
    Known,
    /// Entries before it are missing: the log is to be read from [`Cursor::place`] on.
    Gap,
}

impl Cursor {
    /// A listener that hears everything behind the entry at `place`, which says `frame`.
    pub fn at(place: LogId, frame: Bytes) -> Self {
        Self { place, frame, is_behind: false }
    }

    /// The newest entry that was given.
    pub fn place(&self) -> LogId {
        self.place
    }

    /// Whether the log is to be read before anything can be said about what was heard.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Pushes may have been lost, as by a connection that ended.
    pub fn cut(&mut self) {
        self.is_behind = true;
    }

    /// Takes a push of the entry at `place`, whose predecessor lies at `before`; `None` where
    /// nobody knows it.
    pub fn pushed(&mut self, place: LogId, before: Option<LogId>, frame: &Bytes) -> Pushed {
        if place <= self.place {
            return Pushed::Known;
        }
        if before == Some(self.place) || mutant::breaks("a gap in the pushes is replayed") {
            self.place = place;
            self.frame = frame.clone();
            return Pushed::Next;
        }
        self.is_behind = true;
        Pushed::Gap
    }

    /// Whether everything was given, now that the newest entry of the log is known to be at
    /// `newest`; `None` when the log has none. Otherwise the log is to be read.
    pub fn is_current(&mut self, newest: Option<LogId>) -> bool {
        if newest != Some(self.place) && !mutant::breaks("silence is told from a lost push") {
            self.is_behind = true;
        }
        !self.is_behind
    }

    /// Takes what the log holds from [`place`](Self::place) on, that entry included, or the first
    /// part of it: `is_rest` says that there was no more. Gives the frames that were missed, in
    /// their order; `None` when some are missing for ever, after which this cursor is of no use.
    pub fn replay(
        &mut self,
        page: impl IntoIterator<Item = (LogId, Bytes)>,
        is_rest: bool,
    ) -> Option<Vec<Bytes>> {
        let mut page = page.into_iter();
        let own = page.next();
        let is_own =
            own.as_ref().is_some_and(|(at, says)| *at == self.place && *says == self.frame);
        if !is_own && !mutant::breaks("a replay begins with what was heard last") {
            return None;
        }
        let mut missed = Vec::new();
        for (place, frame) in page {
            if place <= self.place {
                return None;
            }
            self.place = place;
            self.frame = frame.clone();
            missed.push(frame);
        }
        self.is_behind = !is_rest;
        Some(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of the small world. The log begins with entry 0, which everybody knows.
    const MESSAGES: u64 = 4;
    /// Deliveries of one history: enough for each message once, and one doubled.
    const DELIVERIES: usize = 5;

    /// What became of the log while pushes were under way.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Whole,
        /// The oldest entries are gone.
        TrimmedTo(u64),
        /// All entries are gone.
        Emptied,
        /// An older copy took over, which had this many messages, and as many others came after
        /// at the same places.
        SetBackTo(u64),
    }

    fn place(number: u64) -> LogId {
        LogId(number, 0)
    }

    fn frame(world: u8, number: u64) -> Bytes {
        Bytes::from(vec![world, number as u8])
    }

    fn log(fate: Fate) -> Vec<(LogId, Bytes)> {
        let entry = |number| match fate {
            Fate::SetBackTo(kept) if number > kept => (place(number), frame(2, number)),
            _ => (place(number), frame(1, number)),
        };
        let first = match fate {
            Fate::TrimmedTo(first) => first,
            Fate::Emptied => MESSAGES + 1,
            Fate::Whole | Fate::SetBackTo(_) => 0,
        };
        (first..=MESSAGES).map(entry).collect()
    }

    /// One listener and what it was given.
    struct Listener {
        cursor: Cursor,
        given: Vec<Bytes>,
        is_lost: bool,
    }

    impl Listener {
        fn new() -> Self {
            let cursor = Cursor::at(place(0), frame(1, 0));
            Self { cursor, given: Vec::new(), is_lost: false }
        }

        fn hear(&mut self, number: u64) {
            let (at, says) = (place(number), frame(1, number));
            if self.cursor.pushed(at, Some(place(number - 1)), &says) == Pushed::Next {
                self.given.push(says);
            }
        }

        /// Reads the log in pages of `size`, as a reconnecting listener does.
        fn catch_up(&mut self, log: &[(LogId, Bytes)], size: usize) {
            loop {
                let from = self.cursor.place();
                let rest = log.iter().filter(|(at, _)| *at >= from);
                let page: Vec<_> = rest.take(size).cloned().collect();
                let is_rest = page.len() < size;
                match self.cursor.replay(page, is_rest) {
                    Some(frames) => self.given.extend(frames),
                    None => return self.is_lost = true,
                }
                if is_rest {
                    return;
                }
            }
        }
    }

    /// Every sequence of deliveries up to the length, with loss, doubles and every order.
    fn histories() -> Vec<Vec<u64>> {
        let mut all = vec![Vec::new()];
        let mut longest = all.clone();
        for _ in 0..DELIVERIES {
            let longer = |history: &Vec<u64>| {
                let history = history.clone();
                (1..=MESSAGES).map(move |next| [history.clone(), vec![next]].concat())
            };
            longest = longest.iter().flat_map(longer).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    fn fates() -> Vec<Fate> {
        let trimmed = (0..=MESSAGES).map(Fate::TrimmedTo);
        let set_back = (0..=MESSAGES).map(Fate::SetBackTo);
        [Fate::Whole, Fate::Emptied].into_iter().chain(trimmed).chain(set_back).collect()
    }

    #[test]
    fn in_a_small_world_every_message_is_given_once_and_in_order_or_the_loss_is_told() {
        let mut lost = 0;
        for history in histories() {
            for fate in fates() {
                for size in [2, 3, 64] {
                    let mut listener = Listener::new();
                    history.iter().for_each(|number| listener.hear(*number));
                    let log = log(fate);
                    let newest = log.last().map(|(at, _)| *at);
                    let heard = listener.given.clone();
                    // A connection that ended asks for the log in any case.
                    listener.cursor.cut();
                    assert!(!listener.cursor.is_current(newest));
                    listener.catch_up(&log, size);
                    let told = format!("{history:?} {fate:?} {heard:?}: {:?}", listener.given);
                    if listener.is_lost {
                        lost += 1;
                        assert!(!matches!(fate, Fate::Whole), "{told}");
                        continue;
                    }
                    assert!(listener.cursor.is_current(newest), "{told}");
                    let in_log = |says: &Bytes| log.iter().any(|(_, other)| other == says);
                    let missing = |number: &u64| {
                        let says = log.iter().find(|(at, _)| *at == place(*number));
                        let says = says.map_or(frame(1, *number), |(_, says)| says.clone());
                        !listener.given.contains(&says)
                    };
                    let missed: Vec<u64> = (1..=MESSAGES).filter(missing).collect();
                    assert!(missed.is_empty(), "{missed:?} of {told}");
                    assert!(listener.given.iter().skip(heard.len()).all(in_log), "{told}");
                    assert_eq!(listener.given.len() as u64, MESSAGES, "given once: {told}");
                }
            }
        }
        assert!(lost > 0, "the world is too small to lose anything");
    }

    #[test]
    fn while_the_connection_stands_the_newest_entry_tells_what_was_missed() {
        let log = log(Fate::Whole);
        for history in histories() {
            let mut listener = Listener::new();
            history.iter().for_each(|number| listener.hear(*number));
            let is_current = listener.cursor.is_current(Some(place(MESSAGES)));
            if is_current {
                assert_eq!(listener.given.len() as u64, MESSAGES, "{history:?}");
                continue;
            }
            listener.catch_up(&log, 64);
            assert!(!listener.is_lost && listener.given.len() as u64 == MESSAGES, "{history:?}");
            assert!(listener.cursor.is_current(Some(place(MESSAGES))), "{history:?}");
        }
    }

    #[test]
    fn a_log_that_is_behind_or_empty_is_no_reason_to_feel_safe() {
        let mut cursor = Cursor::at(place(3), frame(1, 3));
        assert!(cursor.is_current(Some(place(3))));
        assert!(!cursor.is_current(Some(place(2))));
        assert_eq!(cursor.replay([(place(3), frame(1, 3))], true), Some(Vec::new()));
        assert!(!cursor.is_current(None));
        assert_eq!(cursor.replay([], true), None);
    }

    #[test]
    fn a_page_that_goes_backwards_is_a_loss() {
        let mut cursor = Cursor::at(place(3), frame(1, 3));
        let page = [(place(3), frame(1, 3)), (place(3), frame(1, 3))];
        assert_eq!(cursor.replay(page, true), None);
    }

    #[test]
    fn a_page_that_is_not_the_rest_leaves_the_listener_behind() {
        let mut cursor = Cursor::at(place(0), frame(1, 0));
        cursor.cut();
        assert_eq!(
            cursor.replay(log(Fate::Whole).into_iter().take(2), false).map(|f| f.len()),
            Some(1)
        );
        assert!(cursor.is_behind() && cursor.place() == place(1));
        // A push that follows is given all the same.
        assert_eq!(cursor.pushed(place(2), Some(place(1)), &frame(1, 2)), Pushed::Next);
    }
}
