//! Which compressor pays, found out per kind of data. Nothing here compresses: the caller does, and
//! says what it got.

mod bandit;
mod entropy;

pub use bandit::{
    ArmReport, Choice, Compressed, CompressionArm, CompressionBandit, CompressionLimits,
};
pub use entropy::is_incompressible;
