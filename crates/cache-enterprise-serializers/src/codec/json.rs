//! JSON.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{cannot_decode, cannot_encode};

/// JSON: larger than the others and readable in any tool. Maps need keys that are text or numbers.
/// A float that is not finite is written as `null`, which does not read back as a float.
///
/// ```
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::Json;
///
/// let mut bytes = Vec::new();
/// Json.encode(&vec![1, 2, 3], &mut bytes)?;
/// assert_eq!(bytes, b"[1,2,3]");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

const NAME: &str = "json";

impl Format for Json {
    fn id(&self) -> u8 {
        3
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        serde_json::to_writer(&mut *out, value).map_err(|_| {
            out.truncate(start);
            cannot_encode::<V>(NAME, "the value has no form in json")
        })
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        // The library skips white space at the end; `encode` never writes any.
        if bytes.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(cannot_decode::<V>(NAME, "bytes follow the value"));
        }
        serde_json::from_slice(bytes).map_err(|error| {
            let reason = match error.classify() {
                Category::Eof => "the bytes end too early",
                Category::Syntax | Category::Io => "the bytes are not json",
                Category::Data => "the bytes do not fit the type",
            };
            cannot_decode::<V>(NAME, reason)
                .with("line", error.line())
                .with("column", error.column())
        })
    }
}
