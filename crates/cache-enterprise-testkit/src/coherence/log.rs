//! The frames of one manager, in order, as far back as there is room.

use std::collections::VecDeque;

use bytes::Bytes;

/// Where a listener stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Which log it was, if the log was lost since.
    pub(super) birth: u64,
    /// The last frame that was given, and every one before it.
    pub(super) last: u64,
}

/// What the log has after a position.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) frames: Vec<(u64, Bytes)>,
    pub(super) is_lost: bool,
    pub(super) until: Position,
}

#[derive(Debug)]
pub(super) struct Log {
    birth: u64,
    /// Number of the first frame that is kept; the first ever has number 1.
    first: u64,
    frames: VecDeque<Bytes>,
}

impl Log {
    pub(super) fn new(birth: u64) -> Self {
        Self { birth, first: 1, frames: VecDeque::new() }
    }

    /// Adds a frame and gives its place.
    pub(super) fn append(&mut self, frame: Bytes, frames_max: usize) -> Position {
        self.frames.push_back(frame);
        self.trim(frames_max);
        self.end()
    }

    /// Keeps the newest frames.
    pub(super) fn trim(&mut self, frames_max: usize) {
        let over = self.frames.len().saturating_sub(frames_max);
        self.frames.drain(..over);
        self.first += over as u64;
    }

    pub(super) fn end(&self) -> Position {
        Position { birth: self.birth, last: self.first + self.frames.len() as u64 - 1 }
    }

    pub(super) fn after(&self, position: Position) -> Replay {
        let next = position.last + 1;
        let is_lost = position.birth != self.birth || next < self.first;
        let from = if is_lost { self.first } else { next };
        let skipped = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let frames = (from..).zip(self.frames.iter().skip(skipped).cloned()).collect();
        Replay { frames, is_lost, until: self.end() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(frames: u64, frames_max: usize) -> Log {
        let mut log = Log::new(1);
        for number in 1..=frames {
            assert_eq!(log.append(Bytes::from(number.to_string()), frames_max).last, number);
        }
        log
    }

    fn numbers(replay: &Replay) -> Vec<u64> {
        replay.frames.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_replay_begins_after_the_position() {
        let log = log_of(5, 10);
        let replay = log.after(Position { birth: 1, last: 3 });
        assert_eq!((numbers(&replay), replay.is_lost), (vec![4, 5], false));
        assert_eq!(replay.frames[0].1, "4");
        assert!(log.after(log.end()).frames.is_empty());
    }

    #[test]
    fn a_trimmed_gap_and_another_birth_are_losses() {
        let log = log_of(5, 2);
        assert!(!log.after(Position { birth: 1, last: 3 }).is_lost);
        let replay = log.after(Position { birth: 1, last: 2 });
        assert_eq!((numbers(&replay), replay.is_lost), (vec![4, 5], true));
        let replay = Log::new(2).after(log.end());
        assert!(replay.is_lost && replay.frames.is_empty());
        assert_eq!(replay.until, Position { birth: 2, last: 0 });
    }
}
