//! The keys a model may rank: a bounded set from which the coldest of a sample gives way.

use std::collections::HashMap;
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, KEY_BYTES_MAX, Millis, Result};

use super::wire::{Reader, Writer};
use super::{Access, Ranked};
use crate::hash;

/// Keys looked at when one must go.
const SAMPLE: u64 = 16;
/// Decay is reckoned over at most so many half-lives: nothing is left then.
const HALVES_MAX: f64 = 100.0;

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) key: Box<str>,
    pub(super) hash: u64,
    /// The decayed count as of `at`.
    count: f32,
    at: Millis,
    pub(super) bytes: u64,
    pub(super) load_micros: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Candidates {
    keys: Vec<Candidate>,
    by_hash: HashMap<u64, u32>,
    keys_max: usize,
    half_life_ms: f64,
    /// The decayed count of all requests as of `total_at`.
    total: f64,
    total_at: Millis,
    drawn: u64,
}

impl Candidates {
    pub(super) fn new(keys_max: usize, half_life_ms: f64) -> Self {
        Self {
            keys: Vec::new(),
            by_hash: HashMap::new(),
            keys_max,
            half_life_ms,
            total: 0.0,
            total_at: 0,
            drawn: 0,
        }
    }

    pub(super) fn count(&mut self, access: &Access<'_>, hash: u64) {
        let now = access.at.max(self.total_at);
        self.total = self.total_count(now) + 1.0;
        self.total_at = now;
        let at = match self.by_hash.get(&hash) {
            Some(at) => *at as usize,
            None => self.admit(access.key, hash, now),
        };
        let decay = self.decay(self.keys[at].at, now);
        let candidate = &mut self.keys[at];
        candidate.count = (f64::from(candidate.count) * decay) as f32 + 1.0;
        candidate.at = now;
        if access.bytes > 0 {
            candidate.bytes = access.bytes;
        }
        if !access.load_time.is_zero() {
            candidate.load_micros = u32::try_from(access.load_time.as_micros()).unwrap_or(u32::MAX);
        }
    }

    fn admit(&mut self, key: &str, hash: u64, now: Millis) -> usize {
        let fresh =
            Candidate { key: key.into(), hash, count: 0.0, at: now, bytes: 0, load_micros: 0 };
        if self.keys.len() < self.keys_max {
            self.keys.push(fresh);
        } else {
            let coldest = self.coldest_of_sample(now);
            self.by_hash.remove(&self.keys[coldest].hash);
            self.keys[coldest] = fresh;
            self.by_hash.insert(hash, coldest as u32);
            return coldest;
        }
        self.by_hash.insert(hash, self.keys.len() as u32 - 1);
        self.keys.len() - 1
    }

    fn coldest_of_sample(&mut self, now: Millis) -> usize {
        let sample: Vec<usize> = (0..SAMPLE).filter_map(|_| self.draw()).collect();
        let count = |at: &usize| self.count_of(&self.keys[*at], now);
        let coldest = sample.into_iter().min_by(|a, b| count(a).total_cmp(&count(b)));
        coldest.expect("a full set has keys to draw")
    }

    /// The place of some key, evenly.
    pub(super) fn draw(&mut self) -> Option<usize> {
        self.drawn = self.drawn.wrapping_add(1);
        let keys = self.keys.len() as u64;
        (keys > 0).then(|| (hash::mix(self.drawn) % keys) as usize)
    }

    pub(super) fn get(&self, hash: u64) -> Option<&Candidate> {
        self.by_hash.get(&hash).map(|at| &self.keys[*at as usize])
    }

    pub(super) fn at(&self, place: usize) -> &Candidate {
        &self.keys[place]
    }

    pub(super) fn count_of(&self, candidate: &Candidate, now: Millis) -> f64 {
        f64::from(candidate.count) * self.decay(candidate.at, now)
    }

    pub(super) fn total_count(&self, now: Millis) -> f64 {
        self.total * self.decay(self.total_at, now)
    }

    fn decay(&self, from: Millis, now: Millis) -> f64 {
        let halves = now.saturating_sub(from) as f64 / self.half_life_ms;
        (-halves.min(HALVES_MAX)).exp2()
    }

    /// Milliseconds since the key was asked for.
    pub(super) fn idle_ms(candidate: &Candidate, now: Millis) -> Millis {
        now.saturating_sub(candidate.at)
    }

    pub(super) fn rank(
        &self,
        most: usize,
        mut score: impl FnMut(&Candidate) -> f64,
    ) -> Vec<Ranked> {
        let mut scored: Vec<(f64, &Candidate)> =
            self.keys.iter().map(|candidate| (score(candidate), candidate)).collect();
        let best = |a: &(f64, &Candidate), b: &(f64, &Candidate)| {
            b.0.total_cmp(&a.0).then_with(|| a.1.key.cmp(&b.1.key))
        };
        if most == 0 {
            return Vec::new();
        }
        if most < scored.len() {
            scored.select_nth_unstable_by(most - 1, best);
            scored.truncate(most);
        }
        scored.sort_by(best);
        let ranked = scored.into_iter().map(|(score, candidate)| Ranked {
            key: candidate.key.clone(),
            score,
            bytes: candidate.bytes,
            load_time: Duration::from_micros(candidate.load_micros.into()),
        });
        ranked.collect()
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.total_at);
        out.f64(self.total);
        out.u64(self.drawn);
        out.u32(self.keys.len() as u32);
        for candidate in &self.keys {
            out.text(&candidate.key);
            out.f32(candidate.count);
            out.u64(candidate.at);
            out.u64(candidate.bytes);
            out.u32(candidate.load_micros);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>, keys_max: usize, half_life_ms: f64) -> Result<Self> {
        let mut made = Self::new(keys_max, half_life_ms);
        made.total_at = input.u64()?;
        made.total = input.count64()?;
        made.drawn = input.u64()?;
        let keys = input.u32()? as usize;
        if keys > keys_max {
            return Err(Error::new(ErrorKind::Corrupt, "a model holds more keys than it may"));
        }
        for at in 0..keys {
            let key: Box<str> = input.text(KEY_BYTES_MAX)?.into();
            let hash = hash::bytes(key.as_bytes());
            let candidate = Candidate {
                key,
                hash,
                count: input.count32()?,
                at: input.u64()?,
                bytes: input.u64()?,
                load_micros: input.u32()?,
            };
            if made.by_hash.insert(hash, at as u32).is_some() {
                return Err(Error::new(ErrorKind::Corrupt, "a model holds a key twice"));
            }
            made.keys.push(candidate);
        }
        Ok(made)
    }
}
