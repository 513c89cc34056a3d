//! A serde codec that settings choose.

use std::str::FromStr;

use bytes::Bytes;
use cache_enterprise_core::{Codec, Error, Format, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One of the enabled serde codecs, chosen at run time. A manager made from settings carries it
/// as its codec type. Writing and reading cost one branch more than the codec itself.
///
/// ```
/// use cache_enterprise_core::{Codec, Format};
/// use cache_enterprise_serializers::AnySerde;
///
/// let codec = AnySerde::named("messagepack")?;
/// assert_eq!(codec.name(), "messagepack");
///
/// let mut bytes = Vec::new();
/// codec.encode(&7_u8, &mut bytes)?;
/// let value: u8 = codec.decode(&bytes.into())?;
/// assert_eq!(value, 7);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnySerde {
    /// [`MessagePack`](crate::MessagePack).
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// [`Json`](crate::Json).
    #[cfg(feature = "json")]
    Json,
    /// [`Postcard`](crate::Postcard).
    #[cfg(feature = "postcard")]
    Postcard,
    /// [`Bincode`](crate::Bincode).
    #[cfg(feature = "bincode")]
    Bincode,
}

/// Names of all serde codecs, enabled or not.
const NAMES: [&str; 4] = ["messagepack", "json", "postcard", "bincode"];

macro_rules! for_each_codec {
    ($codec:expr, $chosen:ident => $then:expr) => {
        match $codec {
            #[cfg(feature = "messagepack")]
            AnySerde::MessagePack => {
                let $chosen = crate::MessagePack;
                $then
            }
            #[cfg(feature = "json")]
            AnySerde::Json => {
                let $chosen = crate::Json;
                $then
            }
            #[cfg(feature = "postcard")]
            AnySerde::Postcard => {
                let $chosen = crate::Postcard;
                $then
            }
            #[cfg(feature = "bincode")]
            AnySerde::Bincode => {
                let $chosen = crate::Bincode;
                $then
            }
        }
    };
}

impl AnySerde {
    /// The enabled codecs; the first is the default.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "messagepack")]
        Self::MessagePack,
        #[cfg(feature = "json")]
        Self::Json,
        #[cfg(feature = "postcard")]
        Self::Postcard,
        #[cfg(feature = "bincode")]
        Self::Bincode,
    ];

    /// The codec of that name; `msgpack` is read as `messagepack`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](cache_enterprise_core::ErrorKind::Config) when no codec has the name
    /// (the error lists those that have one), or when its feature is off (the error names it).
    pub fn named(name: &str) -> Result<Self> {
        let name = if name == "msgpack" { "messagepack" } else { name };
        if let Some(codec) = Self::ALL.iter().find(|codec| codec.name() == name) {
            return Ok(*codec);
        }
        Err(if NAMES.contains(&name) {
            Error::config("the codec is not built in; enable its feature").with("feature", name)
        } else {
            Error::config("no codec has this name").with("name", name).with("known", known())
        })
    }
}

fn known() -> String {
    AnySerde::ALL.iter().map(Format::name).collect::<Vec<_>>().join(", ")
}

impl Default for AnySerde {
    fn default() -> Self {
        Self::ALL[0]
    }
}

impl FromStr for AnySerde {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::named(name)
    }
}

impl Format for AnySerde {
    fn id(&self) -> u8 {
        for_each_codec!(self, codec => codec.id())
    }

    fn name(&self) -> &'static str {
        for_each_codec!(self, codec => codec.name())
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for AnySerde {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        for_each_codec!(self, codec => codec.encode(value, out))
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        for_each_codec!(self, codec => codec.decode(bytes))
    }
}
