//! Codecs and compressors of cache-enterprise.
//!
//! A codec turns values into bytes on the way to a tier, a compressor makes the bytes fewer. Both
//! are implementations of the traits in `cache-enterprise-core`; this crate does no I/O and knows
//! no cache.
//!
//! | feature | type | number | use it for |
//! |---|---|---|---|
//! | - | [`Raw`] | 1 | bytes that need no codec |
//! | `messagepack` (default) | `MessagePack` | 2 | any serde type; fields may be added or reordered |
//! | `json` | `Json` | 3 | any serde type, readable in the backend's own tools |
//! | `postcard` | `Postcard` | 4 | small output; bound to the exact layout of the type |
//! | `bincode` | `Bincode` | 5 | where bincode is asked for; bound to the exact layout |
//! | `protobuf` | `Protobuf` | 6 | types that implement `prost::Message` |
//! | `zstd` | `Zstd` | 1 | saving most; dictionaries for small values; builds a C library |
//! | `lz4` | `Lz4` | 2 | spending little CPU time |
//! | `snap` | `Snap` | 3 | as `lz4`, where Snappy is the house format |
//! | `gzip` | `Gzip` | 4 | where other programs must read the bytes |
//!
//! # What a decoder promises
//!
//! Bytes may come from anywhere. Whatever they are, `decode` answers with a value or an error:
//! nesting deeper than [`DEPTH_MAX`] levels in what the type asks for, lengths that the bytes
//! cannot hold, and bytes after the value are errors; nothing is allocated for a length before it was compared with the bytes
//! at hand. Errors name the type and the codec and never repeat what a value holds.
//!
//! What changes of a type each codec survives is measured in `tests/` of this crate: JSON and
//! MessagePack read what lacks optional fields or has unknown ones; postcard and bincode see
//! neither names nor types, so a changed type needs a changed schema in the envelope.

mod codec;
mod compress;

pub use codec::*;
pub use compress::*;

/// The crate whose `Message` [`Protobuf`] takes; a derive of another version does not fit.
#[cfg(feature = "protobuf")]
pub use prost;
