//! Interleaved rounds: every case once a round, each round beginning with another case, so that
//! whatever else the machine does meets all cases alike.

use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One thing measured. `run` builds what it measures, warms it, and gives what one operation cost;
/// nothing of it lives on between rounds, a background thread included, but where a case says why.
pub(crate) struct Case<T = f64> {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut() -> T>,
}

impl<T> Case<T> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> T + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What a round of a case gives that can go wrong.
pub(crate) type Round<T = f64> = Result<T, Box<dyn Error>>;

/// The costs of one case, a figure a round.
pub(crate) struct Series<T = f64> {
    pub(crate) name: String,
    pub(crate) costs: Vec<T>,
}

impl<T> Series<T> {
    /// One figure of each round.
    pub(crate) fn map(&self, figure: impl Fn(&T) -> f64) -> Series {
        Series { name: self.name.clone(), costs: self.costs.iter().map(figure).collect() }
    }
}

/// Runs all cases `rounds` times. The first round is not kept: it pays for the memory that the
/// process takes from the system.
pub(crate) fn interleave<T>(mut cases: Vec<Case<T>>, rounds: usize) -> Vec<Series<T>> {
    let mut series: Vec<_> = cases
        .iter()
        .map(|case| Series { name: case.name.to_owned(), costs: Vec::with_capacity(rounds) })
        .collect();
    for round in 0..=rounds {
        for turn in 0..cases.len() {
            let at = (turn + round) % cases.len();
            let cost = (cases[at].run)();
            if round > 0 {
                series[at].costs.push(cost);
            }
        }
    }
    series
}

/// The costs of all cases, or what went wrong in one of their rounds.
pub(crate) fn whole<T>(all: Vec<Series<Round<T>>>) -> Result<Vec<Series<T>>, Box<dyn Error>> {
    let whole = |Series { name, costs }: Series<Round<T>>| {
        let costs: Result<Vec<_>, _> = costs.into_iter().collect();
        Ok(Series { costs: costs.map_err(|error| format!("{name}: {error}"))?, name })
    };
    all.into_iter().map(whole).collect()
}

/// CPU time of this process so far, all threads.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Nanoseconds of CPU time `work` takes for each of `operations`.
pub(crate) fn cpu_ns_each(operations: usize, work: impl FnOnce()) -> f64 {
    let begun = cpu_time();
    work();
    (cpu_time() - begun).as_nanos() as f64 / operations as f64
}

/// Median and quartiles, interpolated.
pub(crate) struct Quartiles {
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) p75: f64,
}

impl Quartiles {
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (figures.len() - 1) as f64;
            let (low, high) = (figures[place.floor() as usize], figures[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Self { p25: at(0.25), median: at(0.5), p75: at(0.75) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn each_round_begins_with_another_case_and_the_first_is_dropped() {
        let order = Rc::new(RefCell::new(String::new()));
        let case = |name: &'static str| {
            let order = Rc::clone(&order);
            Case::new(name, move || {
                order.borrow_mut().push_str(name);
                1.0
            })
        };
        let series = interleave(vec![case("a"), case("b"), case("c")], 2);
        assert_eq!(*order.borrow(), "abcbcacab");
        assert!(series.iter().all(|series| series.costs.len() == 2));
    }

    #[test]
    fn one_round_that_went_wrong_is_told_with_its_case() {
        let series = |name: &str, costs| vec![Series { name: name.to_owned(), costs }];
        let costs = whole(series("a", vec![Ok(1.0), Ok(2.0)])).expect("no round went wrong");
        assert_eq!(costs[0].costs, [1.0, 2.0]);
        let error = whole(series("b", vec![Ok(1.0), Err("a key is missed".into())])).err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("b: a key is missed"));
    }

    #[test]
    fn quartiles_interpolate() {
        let quartiles = Quartiles::of(vec![4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((quartiles.p25, quartiles.median, quartiles.p75), (2.0, 3.0, 4.0));
    }
}
