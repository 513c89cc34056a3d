//! From values to bytes and back.

#[cfg(any(feature = "messagepack", feature = "json", feature = "postcard", feature = "bincode"))]
mod any;
#[cfg(feature = "bincode")]
mod bincode;
#[cfg(any(feature = "messagepack", feature = "postcard", feature = "bincode"))]
mod bounded;
#[cfg(any(
    feature = "messagepack",
    feature = "json",
    feature = "postcard",
    feature = "bincode",
    feature = "protobuf"
))]
mod error;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "messagepack")]
mod messagepack;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(feature = "protobuf")]
mod protobuf;
mod raw;
mod registry;

#[cfg(any(
    feature = "messagepack",
    feature = "json",
    feature = "postcard",
    feature = "bincode"
))]
pub use any::AnySerde;
#[cfg(feature = "bincode")]
pub use bincode::Bincode;
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "messagepack")]
pub use messagepack::MessagePack;
#[cfg(feature = "postcard")]
pub use postcard::Postcard;
#[cfg(feature = "protobuf")]
pub use protobuf::Protobuf;
pub use raw::Raw;
pub use registry::{CodecRegistry, RegisteredCodec};

/// Deepest nesting that any decoder of this crate follows; deeper bytes are an error. Protocol
/// Buffers stop earlier, at 100 levels, by their library's own limit. An option or an enum around
/// a value counts as a level. Encoding knows no such limit: a deeper value is written, and each
/// read of it from a tier is an error and a load.
///
/// What a level costs on the stack is the type's affair: a struct of a dozen fields takes up to
/// 8 KiB in a build without optimisation, so that 128 levels of them fit the 2 MiB that a thread
/// gets by default.
pub const DEPTH_MAX: usize = 128;
