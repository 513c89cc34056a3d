//! Writing keys as escaped text.

use std::fmt::{self, Write};

use super::CacheKey;

/// Receives the parts of a key. Parts are joined by `:`; inside a part `:`, `{`, `}`, `%`,
/// control characters and non-ASCII bytes become `%XX`.
///
/// ```
/// use cache_enterprise_core::KeyWriter;
///
/// let mut text = String::new();
/// let mut writer = KeyWriter::new(&mut text);
/// writer.part("a:b");
/// writer.key(&7_u32);
/// assert_eq!(text, "a%3Ab:7");
/// ```
#[derive(Debug)]
pub struct KeyWriter<'a> {
    text: &'a mut String,
    is_first: bool,
}

impl<'a> KeyWriter<'a> {
    /// A writer that appends its parts to `text`.
    pub fn new(text: &'a mut String) -> Self {
        Self { text, is_first: true }
    }

    /// Writes one part of text.
    pub fn part(&mut self, part: &str) {
        self.begin();
        escape(part.as_bytes(), self.text);
    }

    /// Writes one part of raw bytes as hexadecimal digits.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.begin();
        for byte in bytes {
            let _ = write!(self.text, "{byte:02x}");
        }
    }

    /// Writes one part by its `Display`, escaped. Use it only where `Display` is injective.
    pub fn display(&mut self, part: impl fmt::Display) {
        self.begin();
        let _ = write!(Escaped(self.text), "{part}");
    }

    /// Writes the parts of another key.
    pub fn key<K: CacheKey>(&mut self, key: &K) {
        key.write(self);
    }

    fn begin(&mut self) {
        if !self.is_first {
            self.text.push(':');
        }
        self.is_first = false;
    }
}

/// `fmt::Write` that escapes what passes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(text.as_bytes(), self.0);
        Ok(())
    }
}

/// Appends `bytes` to `text` with everything but plain printable ASCII as `%XX`.
pub(crate) fn escape(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        let is_plain = (b' '..0x7f).contains(&byte) && !matches!(byte, b':' | b'{' | b'}' | b'%');
        if is_plain {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// The text of a part of a stored key as its owner wrote it: `%3A` is a colon again.
///
/// ```
/// use cache_enterprise_core::unescaped;
///
/// assert_eq!(unescaped("user%3A7:%C3%A9%zz%"), "user:7:é%zz%");
/// ```
pub fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
