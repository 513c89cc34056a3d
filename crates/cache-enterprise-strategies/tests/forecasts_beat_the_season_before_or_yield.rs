//! Series of known make: the forecast beats saying "as a season ago" where there is something to
//! learn, and hands over to it where there is not.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod seeded;

use cache_enterprise_strategies::forecast::backtest;
use seeded::Draws;

const SEED: u64 = 0xf0ca;
const HOURS: usize = 24 * 7 * 12;

fn daily(hour: usize) -> f64 {
    100.0 + 60.0 * ((hour % 24) as f64 / 24.0 * std::f64::consts::TAU).sin()
}

#[test]
fn mase_of_known_series() {
    let mut draws = Draws(SEED);
    let mut made = |value: &dyn Fn(usize, &mut Draws) -> f64| -> Vec<f64> {
        (0..HOURS).map(|hour| value(hour, &mut draws)).collect()
    };
    let noisy = made(&|hour, draws| daily(hour) + 10.0 * draws.normal());
    let rising = made(&|hour, draws| daily(hour) + 0.2 * hour as f64 + 5.0 * draws.normal());
    let flat = made(&|_, draws| 50.0 + 5.0 * draws.normal());
    let mut level = 100.0;
    let wandering = made(&|_, draws| draws.normal());
    let wandering: Vec<f64> = wandering
        .into_iter()
        .map(|step| {
            level += step;
            level
        })
        .collect();
    let exact = made(&|hour, _| daily(hour));
    println!("series, season, ahead: MASE, in the interval, by the baseline (seed {SEED:#x})");
    let cases: [(&str, &[f64], usize, usize, f64); 7] = [
        ("daily with noise", &noisy, 24, 1, 0.85),
        ("daily with noise", &noisy, 24, 24, 0.85),
        ("daily and rising", &rising, 24, 24, 0.85),
        ("no season, noise", &flat, 1, 1, 0.85),
        ("a random walk", &wandering, 1, 1, 1.05),
        ("a random walk by days", &wandering, 24, 1, 0.5),
        ("a day like the other", &exact, 24, 24, 1.01),
    ];
    for (name, series, season, ahead, mase_max) in cases {
        let outcome = backtest(series, season, ahead).unwrap();
        println!(
            "  {name:<22} {season:>3} {ahead:>3}: {:.2}, {:.0} %, {:.0} %",
            outcome.mase,
            outcome.covered * 100.0,
            outcome.naive * 100.0
        );
        assert!(outcome.mase <= mase_max, "{name}: {outcome:?}");
        assert!(outcome.covered >= 0.8, "{name}: {outcome:?}");
    }
}
