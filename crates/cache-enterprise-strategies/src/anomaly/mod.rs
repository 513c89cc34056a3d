//! How unusual a measurement is, as a number from 0 to 1 that means something.
//!
//! | detector | looks at |
//! |---|---|
//! | [`SeriesDetector`] | one series: jumps, drifts and drop-outs against its level, spread and season |
//! | [`HalfSpaceTrees`] | vectors: combinations that were rare so far |
//!
//! A score is the share of earlier measurements that were less unusual: above 0.95 lie at most
//! about 5 of 100 ordinary ones, whatever the scale of the series.

mod half_space;
mod quantile;
mod series;

pub use half_space::{HalfSpaceTrees, TreeLimits};
pub use series::{SeriesDetector, SeriesLimits};
