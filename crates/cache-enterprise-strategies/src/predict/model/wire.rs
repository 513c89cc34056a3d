//! Numbers and texts of model files: little-endian, every length checked before it is believed.

use cache_enterprise_core::{Error, ErrorKind, Result};

#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f32(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text of less than 2^32 bytes.
    pub(super) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }
}

#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return Err(corrupt("a model ends too early"));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("as many bytes were taken"))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32> {
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(corrupt("a number of a model is not finite"))
        }
    }

    pub(super) fn f64(&mut self) -> Result<f64> {
        let value = self.array().map(f64::from_le_bytes)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(corrupt("a number of a model is not finite"))
        }
    }

    pub(super) fn count32(&mut self) -> Result<f32> {
        let value = self.f32()?;
        if value >= 0.0 { Ok(value) } else { Err(corrupt("a count of a model is negative")) }
    }

    pub(super) fn count64(&mut self) -> Result<f64> {
        let value = self.f64()?;
        if value >= 0.0 { Ok(value) } else { Err(corrupt("a count of a model is negative")) }
    }

    pub(super) fn text(&mut self, bytes_max: usize) -> Result<&'a str> {
        let bytes = self.u32()? as usize;
        if bytes > bytes_max {
            return Err(corrupt("a text of a model is too long"));
        }
        let text = std::str::from_utf8(self.bytes(bytes)?);
        text.map_err(|error| corrupt("a text of a model is not UTF-8").source_error(error))
    }

    /// Room for `count` numbers of `size` bytes is there before anything is allocated.
    pub(super) fn holds(&self, count: usize, size: usize) -> Result<()> {
        let needed = count.checked_mul(size);
        if needed.is_some_and(|needed| needed <= self.0.len()) {
            return Ok(());
        }
        Err(corrupt("a model ends too early"))
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(corrupt("bytes follow the end of a model")) }
    }
}

pub(super) fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
