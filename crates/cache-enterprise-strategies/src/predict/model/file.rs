//! Models as bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `CEPM` |
//! | 2 | version of this format, 1 |
//! | 2 | length of the kind's name, then the name |
//! | 8 | length of the payload, then the payload, as its kind writes it |
//! | 8 | FNV-1a of all before, mixed |
//!
//! Numbers are little-endian. The checksum finds accidents; it is no signature. Whoever may write
//! the file can teach the model what to warm, and no more: each number is checked on reading.

use cache_enterprise_core::{Error, ErrorKind, Result};

use super::PredictionModel;
use super::counts::{self, ContextCounts};
use super::ftrl::{self, Ftrl};
use super::wire::{Reader, Writer, corrupt};
use crate::hash;

const MAGIC: &[u8; 4] = b"CEPM";
const VERSION: u16 = 1;
const SUM_BYTES: usize = 8;

/// The bytes of a model, for a file.
///
/// # Errors
/// When the model is kept elsewhere, as those supplied by an operator are.
///
/// ```
/// use cache_enterprise_strategies::predict::model::{
///     ContextCounts, CountsLimits, decode_model, encode_model,
/// };
///
/// let model = ContextCounts::new(CountsLimits { counters: 64, ..CountsLimits::default() })?;
/// let bytes = encode_model(&model)?;
/// assert_eq!(decode_model(&bytes)?.kind(), "context-counts");
/// assert!(decode_model(&bytes[1..]).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub fn encode_model(model: &dyn PredictionModel) -> Result<Vec<u8>> {
    let (kind, payload) = (model.kind(), model.payload()?);
    let mut out = Writer(MAGIC.to_vec());
    out.0.extend_from_slice(&VERSION.to_le_bytes());
    out.0.extend_from_slice(&(kind.len() as u16).to_le_bytes());
    out.0.extend_from_slice(kind.as_bytes());
    out.u64(payload.len() as u64);
    out.0.extend_from_slice(&payload);
    let sum = hash::bytes(&out.0);
    out.u64(sum);
    Ok(out.0)
}

/// The model that [`encode_model`] made the bytes of. Allocates no more than a small multiple of
/// their length.
///
/// # Errors
/// Of kind [`Corrupt`](ErrorKind::Corrupt) when the bytes are damaged, cut or hostile, and
/// [`Unsupported`](ErrorKind::Unsupported) when format or kind are not known here.
pub fn decode_model(bytes: &[u8]) -> Result<Box<dyn PredictionModel>> {
    let mut input = Reader(bytes);
    if input.bytes(MAGIC.len())? != MAGIC {
        return Err(corrupt("these bytes are no model"));
    }
    let short = |input: &mut Reader<'_>| -> Result<u16> {
        let bytes = input.bytes(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let version = short(&mut input)?;
    if version != VERSION {
        let error = Error::new(ErrorKind::Unsupported, "a model is of an unknown format");
        return Err(error.with("version", version).with("known", VERSION));
    }
    let kind_bytes = short(&mut input)? as usize;
    let kind = input.bytes(kind_bytes)?;
    let payload = input.u64()?;
    let rest = input.0.len().checked_sub(SUM_BYTES).ok_or_else(|| corrupt("a model is cut"))?;
    if payload != rest as u64 {
        return Err(corrupt("a model is not as long as it says"));
    }
    let (body, sum) = bytes.split_at(bytes.len() - SUM_BYTES);
    if sum != hash::bytes(body).to_le_bytes() {
        return Err(corrupt("the checksum of a model does not match"));
    }
    let mut payload = Reader(&input.0[..rest]);
    let model: Box<dyn PredictionModel> = match kind {
        kind if kind == counts::KIND.as_bytes() => Box::new(ContextCounts::read(&mut payload)?),
        kind if kind == ftrl::KIND.as_bytes() => Box::new(Ftrl::read(&mut payload)?),
        _ => {
            let error = Error::new(ErrorKind::Unsupported, "a model is of an unknown kind");
            return Err(error.with("known", format!("{}, {}", counts::KIND, ftrl::KIND)));
        }
    };
    payload.end()?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::LazyLock;

    use cache_enterprise_core::secs;
    use proptest::prelude::*;

    use super::super::{Access, CountsLimits, FtrlLimits, ModelContext};
    use super::*;

    /// One model of each kind that has learned a little.
    fn models() -> Vec<Box<dyn PredictionModel>> {
        let counts = CountsLimits { keys: 40, counters: 64, half_life: secs(5) };
        let ftrl = FtrlLimits { weights_log2: 10, keys: 40, ..FtrlLimits::default() };
        let mut models: Vec<Box<dyn PredictionModel>> =
            vec![Box::new(ContextCounts::new(counts).unwrap()), Box::new(Ftrl::new(ftrl).unwrap())];
        for model in &mut models {
            for at in 0..400_u64 {
                let context = context(at);
                let key = format!("key:{}", hash::mix(at) % 60);
                let access = Access::new(&key, &context, at * 7).bytes(at).load_time(secs(1));
                model.learn(&access);
            }
        }
        models
    }

    fn context(at: u64) -> ModelContext {
        let region = if at.is_multiple_of(3) { "EU" } else { "US" };
        ModelContext::new([("region", region), ("time", "friday_evening")]).unwrap()
    }

    /// The checksum over changed bytes, as whoever may write the file would make it.
    fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
        let body = bytes.len().saturating_sub(SUM_BYTES);
        let sum = hash::bytes(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn a_model_comes_back_as_it_was_and_goes_on_learning_alike() {
        for mut model in models() {
            let mut back = decode_model(&encode_model(&*model).unwrap()).unwrap();
            for at in 400..500_u64 {
                let (key, context) = (format!("key:{}", at % 70), context(at));
                model.learn(&Access::new(&key, &context, at * 7));
                back.learn(&Access::new(&key, &context, at * 7));
            }
            let context = context(0);
            assert_eq!(model.rank(&context, 4_000, 10), back.rank(&context, 4_000, 10));
            assert_eq!(encode_model(&*model).unwrap(), encode_model(&*back).unwrap());
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        for model in models() {
            let bytes = encode_model(&*model).unwrap();
            for end in 0..bytes.len() {
                assert!(decode_model(&bytes[..end]).is_err(), "{end}");
                // Cut, and signed again.
                if end >= SUM_BYTES && end.is_multiple_of(13) {
                    assert!(decode_model(&signed(bytes[..end].to_vec())).is_err(), "{end}");
                }
            }
        }
    }

    #[test]
    fn other_formats_and_kinds_are_named() {
        let mut bytes = encode_model(&*models()[0]).unwrap();
        bytes[4] = 9;
        assert_eq!(
            decode_model(&signed(bytes.clone())).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
        bytes[4] = 1;
        bytes[8] = b'x';
        let error = decode_model(&signed(bytes)).unwrap_err();
        assert!(error.to_string().contains("known: context-counts, ftrl"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_of_no_meaning_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode_model(&bytes).is_err());
            let mut started = MAGIC.to_vec();
            started.extend_from_slice(&VERSION.to_le_bytes());
            started.extend_from_slice(&bytes);
            prop_assert!(decode_model(&started).is_err());
        }

        #[test]
        fn an_accident_is_found_and_malice_makes_no_panic(
            which in 0_usize..2,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
                models().iter().map(|model| encode_model(&**model).unwrap()).collect()
            });
            let bytes = &ENCODED[which];
            let mut changed = bytes.clone();
            for (at, value) in changes {
                // Half of the changes fall on the head, where lengths are.
                let at = if value.is_multiple_of(2) { at.index(80) } else { at.index(bytes.len()) };
                changed[at] = value;
            }
            prop_assert!(changed == *bytes || decode_model(&changed).is_err());
            if let Ok(mut model) = decode_model(&signed(changed)) {
                let context = context(1);
                model.learn(&Access::new("new", &context, u64::MAX / 2));
                let ranked = model.rank(&context, u64::MAX, 5);
                prop_assert!(ranked.iter().all(|ranked| ranked.score.is_finite()));
            }
        }
    }
}
