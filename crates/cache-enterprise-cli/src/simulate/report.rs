//! What a person or a program reads.

use std::fmt::Write;

use cache_enterprise::core::{GIB, KIB, MIB};
use cache_enterprise_workload::simulate::{Run, Unit};
use serde_json::json;

use super::Findings;

/// Tables for a person.
pub(super) fn text(findings: &Findings<'_>) -> String {
    let mut text = String::new();
    write_text(&mut text, findings).expect("a string takes all text");
    text
}

fn write_text(out: &mut String, findings: &Findings<'_>) -> std::fmt::Result {
    let Findings { replay, room, runs, best, advice } = findings;
    let total = replay.total_weight(room.unit);
    writeln!(out, "requests     {} for {} objects", replay.len(), replay.unique())?;
    if room.unit == Unit::Bytes {
        writeln!(out, "all objects  {}", amount(total, room.unit))?;
    }
    let part = room.capacity as f64 / total.max(1) as f64 * 100.0;
    writeln!(out, "capacity     {} ({part:.1} % of all)", amount(room.capacity, room.unit))?;
    writeln!(out, "\nstrategy             hit ratio   CPU a request")?;
    for (name, run) in runs {
        writeln!(out, "{name:<20} {:>7.2} %  {:>9.0} ns", points(run), run.ns_per_request())?;
    }
    if let Some(best) = best {
        writeln!(out, "{:<20} {:>7.2} %", "(perfect foresight)", points(best))?;
    }
    writeln!(out, "\nanother size, with {}:", advice.strategy)?;
    for (more, points) in &advice.changes {
        let sign = if *more < 0 { '-' } else { '+' };
        let size = amount(more.unsigned_abs(), room.unit);
        writeln!(out, "{sign}{size}: {} points", signed(*points))?;
    }
    Ok(())
}

/// An object a line for a program.
pub(super) fn json(findings: &Findings<'_>) -> String {
    let Findings { replay, room, runs, best, advice } = findings;
    let unit = match room.unit {
        Unit::Objects => "objects",
        Unit::Bytes => "bytes",
    };
    let mut lines = vec![json!({
        "requests": replay.len(),
        "objects": replay.unique(),
        "total": replay.total_weight(room.unit),
        "capacity": room.capacity,
        "unit": unit,
    })];
    let foresight = best.iter().map(|best| ("opt", best));
    for (name, run) in runs.iter().map(|(name, run)| (*name, run)).chain(foresight) {
        lines.push(json!({
            "strategy": name,
            "hit_ratio": 1.0 - run.miss_ratio(),
            "ns_per_request": run.ns_per_request().round(),
        }));
    }
    for (more, points) in &advice.changes {
        lines.push(
            json!({"advice": true, "strategy": advice.strategy, "more": more, "points": points}),
        );
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The hit ratio in hundredths.
fn points(run: &Run) -> f64 {
    (1.0 - run.miss_ratio()) * 100.0
}

/// With its sign, to a tenth.
fn signed(points: f64) -> String {
    let tenths = (points * 10.0).round() / 10.0 + 0.0;
    format!("{tenths:+.1}")
}

fn amount(amount: u64, unit: Unit) -> String {
    let (size, name) = match (unit, amount) {
        (Unit::Objects, 1) => return "1 object".to_owned(),
        (Unit::Objects, _) => return format!("{amount} objects"),
        (Unit::Bytes, 0..KIB) => return format!("{amount} B"),
        (Unit::Bytes, KIB..MIB) => (KIB, "KiB"),
        (Unit::Bytes, MIB..GIB) => (MIB, "MiB"),
        (Unit::Bytes, _) => (GIB, "GiB"),
    };
    match amount.is_multiple_of(size) {
        true => format!("{} {name}", amount / size),
        false => format!("{:.1} {name}", amount as f64 / size as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_points_read_well() {
        assert_eq!(amount(64 << 20, Unit::Bytes), "64 MiB");
        assert_eq!(amount((64 << 20) + (1 << 19), Unit::Bytes), "64.5 MiB");
        assert_eq!([amount(1, Unit::Objects), amount(900, Unit::Bytes)], ["1 object", "900 B"]);
        assert_eq!([signed(3.12), signed(-0.04), signed(-2.0)], ["+3.1", "+0.0", "-2.0"]);
    }
}
