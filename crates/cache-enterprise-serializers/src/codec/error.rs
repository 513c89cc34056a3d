//! Errors of codecs.
//!
//! Messages of serde repeat what they met ("invalid type: string \"...\""), which may be a secret.
//! Therefore no error of a codec library becomes the source of ours: a codec names the kind of
//! failure in fixed words.

use cache_enterprise_core::{Error, ErrorKind};

pub(super) fn cannot_encode<V>(codec: &'static str, reason: &'static str) -> Error {
    failure::<V>("cannot encode a value", codec, reason)
}

pub(super) fn cannot_decode<V>(codec: &'static str, reason: &'static str) -> Error {
    failure::<V>("cannot decode a value", codec, reason)
}

fn failure<V>(message: &'static str, codec: &'static str, reason: &'static str) -> Error {
    Error::new(ErrorKind::Codec, message)
        .with("type", std::any::type_name::<V>())
        .with("codec", codec)
        .with("reason", reason)
}
