//! Inputs made from other inputs, the same for the same seed.

/// Longest input, so that a run tries many rather than long ones.
const BYTES_MAX: usize = 4096;

/// Values at which readers of lengths and numbers change their mind.
const BORDERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Draws an input of the corpus and changes it in one to eight places.
pub(crate) struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
    input: Vec<u8>,
}

impl Mutator {
    /// `corpus` has at least one input.
    pub(crate) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { state: seed, corpus, input: Vec::new() }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> &[u8] {
        let from = self.below(self.corpus.len());
        self.input.clone_from(&self.corpus[from]);
        for _ in 0..=self.below(8) {
            self.change();
        }
        self.input.truncate(BYTES_MAX);
        &self.input
    }

    fn change(&mut self) {
        let len = self.input.len();
        let at = self.below(len + 1);
        let many = self.below(len - at + 1).min(64);
        match self.below(9) {
            0 if at < len => self.input[at] ^= 1 << self.below(8),
            1 if at < len => self.input[at] = self.random() as u8,
            2 => self.overwrite(at),
            3 => {
                let byte = self.byte();
                self.input.insert(at, byte);
            }
            4 => drop(self.input.drain(at..at + many)),
            5 => {
                let block: Vec<u8> = self.input[at..at + many].to_vec();
                let times = 1 + self.below(64);
                self.input.splice(at..at, block.repeat(times));
            }
            6 => self.input.truncate(at),
            7 => self.splice(at),
            _ => {
                let noise: Vec<u8> = (0..self.below(16)).map(|_| self.random() as u8).collect();
                self.input.splice(at..at, noise);
            }
        }
    }

    /// Puts a border value of one to eight bytes, in either order, over what is there.
    fn overwrite(&mut self, at: usize) {
        let border = BORDERS[self.below(BORDERS.len())];
        let width = 1 << self.below(4);
        let mut bytes = border.to_le_bytes()[..width].to_vec();
        if self.below(2) == 0 {
            bytes.reverse();
        }
        for (slot, byte) in self.input[at..].iter_mut().zip(bytes) {
            *slot = byte;
        }
    }

    /// Goes on with the tail of another input.
    fn splice(&mut self, at: usize) {
        let other = self.below(self.corpus.len());
        let from = self.below(self.corpus[other].len() + 1);
        self.input.truncate(at);
        self.input.extend_from_slice(&self.corpus[other][from..]);
    }

    fn byte(&mut self) -> u8 {
        let border = BORDERS[self.below(BORDERS.len())];
        if self.below(2) == 0 { border as u8 } else { self.random() as u8 }
    }

    /// A number below `limit`, which is not zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.random() % limit as u64) as usize
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_another_gives_others() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, vec![b"one".to_vec(), b"another".to_vec()]);
            (0..500).map(|_| mutator.next().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().all(|input| input.len() <= BYTES_MAX));
    }
}
