//! Stamps as bytes.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};
use cache_enterprise_testkit::simulation::Stamp;

/// Writes a stamp as its 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps;

impl Codec<Stamp> for Stamps {
    fn encode(&self, value: &Stamp, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&value.to_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Stamp> {
        let refused = || Error::new(ErrorKind::Codec, "the bytes are no stamp");
        Stamp::from_bytes(bytes).ok_or_else(refused)
    }
}

impl Format for Stamps {
    fn id(&self) -> u8 {
        200
    }

    fn name(&self) -> &'static str {
        "stamps"
    }
}
