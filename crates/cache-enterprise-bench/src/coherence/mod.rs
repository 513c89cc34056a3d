//! What coherence costs.
//!
//! ```text
//! within    in one process     bars 15 to 17; 18 by the binary `counted`
//! ```

mod within;

use std::error::Error;

use crate::report::Report;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    within::run(report, rounds)
}
