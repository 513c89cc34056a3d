//! What a series will be, with an interval, and never worse than saying "as a season ago" for
//! long.
//!
//! [`Forecaster`] runs Holt-Winters smoothing with several sets of parameters and the
//! seasonal-naive baseline side by side. Each is scored on what it said before it saw the answer;
//! the best set speaks, and the baseline where even that is worse.

mod forecaster;
mod holt_winters;

pub use forecaster::{Backtest, Forecast, Forecaster, Method, backtest};
