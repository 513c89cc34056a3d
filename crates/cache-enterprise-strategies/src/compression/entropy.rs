//! Bytes that no compressor makes smaller, told by a look at some of them.

/// Bytes looked at, in so many pieces spread over the value.
const PIECE: usize = 512;
const PIECES: usize = 8;
/// Below this nothing is said: a few bytes prove nothing.
const LEAST: usize = 512;
/// Bits a byte, after the correction for small samples: what is random has 8, what was compressed
/// has at least 7.9, text has under 6, floating-point numbers mostly under 7.5.
const BITS_MAX: f64 = 7.75;
/// A sample of which so many in a hundred pairs of bytes came before, at the same distance from
/// each other, repeats itself.
const REPEATS_MAX: usize = 10;

/// Whether a value looks like encrypted or compressed bytes, so that compressing it is work for
/// nothing.
///
/// Estimates the entropy of single bytes over at most 4 KiB, with the correction of G. Miller
/// (1955) for small samples, then looks for repeats that single bytes do not show. Costs about ten
/// microseconds, whatever the size.
///
/// ```
/// use cache_enterprise_strategies::compression::is_incompressible;
///
/// let text = "the same words come again and again ".repeat(100);
/// assert!(!is_incompressible(text.as_bytes()));
/// ```
pub fn is_incompressible(value: &[u8]) -> bool {
    if value.len() < LEAST {
        return false;
    }
    let mut sample = Vec::with_capacity(PIECE * PIECES);
    if value.len() <= PIECE * PIECES {
        sample.extend_from_slice(value);
    } else {
        let step = (value.len() - PIECE) / (PIECES - 1);
        for piece in 0..PIECES {
            sample.extend_from_slice(&value[piece * step..piece * step + PIECE]);
        }
    }
    bits_per_byte(&sample) >= BITS_MAX && !repeats(&sample)
}

fn bits_per_byte(sample: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    let total = sample.len() as f64;
    let present = counts.iter().filter(|count| **count > 0);
    let entropy: f64 = present
        .clone()
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum();
    entropy + (present.count() as f64 - 1.0) / (2.0 * total * std::f64::consts::LN_2)
}

/// Whether many runs of four bytes come twice.
fn repeats(sample: &[u8]) -> bool {
    let mut runs: Vec<u32> =
        sample.windows(4).map(|run| u32::from_le_bytes([run[0], run[1], run[2], run[3]])).collect();
    runs.sort_unstable();
    let again = runs.windows(2).filter(|two| two[0] == two[1]).count();
    again * 100 > runs.len() * REPEATS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    fn random(bytes: usize, seed: u64) -> Vec<u8> {
        (0..bytes as u64).map(|at| hash::pair(seed, at) as u8).collect()
    }

    #[test]
    fn random_bytes_are_told_from_all_that_shrinks() {
        for bytes in [512, 600, 1_000, 4_096, 5_000, 100_000] {
            for seed in 0..20 {
                assert!(is_incompressible(&random(bytes, seed)), "{bytes} {seed}");
            }
        }
        let hexadecimal: String =
            random(2_000, 1).iter().map(|byte| format!("{byte:02x}")).collect();
        let json: String =
            (0..100).map(|at| format!("{{\"id\":{at},\"name\":\"n{at}\"}},")).collect();
        let floats: Vec<u8> = (0..500).flat_map(|at| f64::from(at).sqrt().to_le_bytes()).collect();
        let block = random(1_024, 3);
        for value in [
            hexadecimal.as_bytes(),
            json.as_bytes(),
            &floats,
            &block.repeat(4),
            &[0; 1_000],
            &random(500, 4),
            b"",
        ] {
            assert!(!is_incompressible(value), "{} bytes", value.len());
        }
    }

    #[test]
    fn of_a_long_value_every_part_counts() {
        let mut value = random(4_096, 5);
        value.extend(std::iter::repeat_n(b'a', 40_000));
        assert!(!is_incompressible(&value));
    }
}
