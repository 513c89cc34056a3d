//! What a person or a program reads at the end.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::Arc;

use cache_enterprise_workload as workload;
use serde::Serialize;

use super::LEVEL_1;
use super::latency::Latency;
use super::levels::{LIFE_ON_SERVERS, Levels};
use super::load::Tally;
use super::outage::{Outage, Played};
use super::requests::BODY_BYTES_MAX;
use super::restart::Restart;
use super::stampede::Stampede;
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Everything the demo found out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) levels: Arc<Levels>,
    /// How the file was read, when one was replayed.
    pub(crate) recorded: Option<workload::Report>,
    pub(crate) load: Tally,
    pub(crate) stampede: Stampede,
    pub(crate) outage: Outage,
    pub(crate) restart: Restart,
}

/// The report for programs. Operations are reads: hits of all levels and misses add up to them.
#[derive(Serialize)]
struct Json<'a> {
    operations: u64,
    elapsed_seconds: f64,
    ops_per_second: f64,
    levels: Vec<LevelJson<'a>>,
    misses: u64,
    origin_calls: u64,
    origin_calls_without_cache: u64,
    stampede: &'a Stampede,
    outage: OutageJson,
    restart: &'a Restart,
}

#[derive(Serialize)]
struct LevelJson<'a> {
    name: &'a str,
    hits: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

#[derive(Serialize)]
struct OutageJson {
    /// `none` when every level was up all the time.
    level: String,
    /// Reads that began during the outage.
    operations: u64,
    /// Errors that callers saw, of all the load.
    caller_errors: u64,
}

impl<'a> LevelJson<'a> {
    fn new((name, latency): (&'a str, &Latency)) -> Self {
        let micros = |share| latency.micros(share);
        let (p50_us, p99_us, p999_us) = (micros(0.5), micros(0.99), micros(0.999));
        Self { name, hits: latency.count(), p50_us, p99_us, p999_us }
    }
}

impl Report {
    fn per_second(&self) -> f64 {
        self.load.operations() as f64 / self.load.elapsed.as_secs_f64().max(1e-6)
    }

    /// The levels by name, from the top.
    fn by_level(&self) -> impl Iterator<Item = (&str, &Latency)> {
        let below = self.levels.names().zip(&self.load.tiers);
        std::iter::once((LEVEL_1, &self.load.memory)).chain(below)
    }

    /// One object on one line.
    pub(crate) fn json(&self) -> String {
        let load = &self.load;
        let json = Json {
            operations: load.operations(),
            elapsed_seconds: load.elapsed.as_secs_f64(),
            ops_per_second: self.per_second(),
            levels: self.by_level().map(LevelJson::new).collect(),
            misses: load.origin.count() + load.errors,
            origin_calls: load.loads,
            origin_calls_without_cache: load.operations(),
            stampede: &self.stampede,
            outage: OutageJson {
                level: self.away(),
                operations: load.outage_operations,
                caller_errors: load.caller_errors,
            },
            restart: &self.restart,
        };
        serde_json::to_string(&json).expect("numbers and names are always JSON")
    }

    /// The report for people.
    pub(crate) fn text(&self, args: &DemoArgs) -> String {
        let mut text = String::new();
        self.write(&mut text, args).expect("a string takes all text");
        text
    }

    fn write(&self, out: &mut String, args: &DemoArgs) -> fmt::Result {
        let (load, restart) = (&self.load, &self.restart);
        let reads = load.operations();
        self.write_head(out, args)?;
        let (seconds, rate) = (load.elapsed.as_secs_f64(), self.per_second());
        writeln!(
            out,
            "{reads} reads in {seconds:.1} s, {rate:.0} a second; {} writes",
            load.writes
        )?;
        self.write_levels(out)?;
        writeln!(out, "\norigin    {} calls with the cache, {reads} without", load.loads)?;
        let Stampede { callers, loader_calls, took, .. } = &self.stampede;
        let calls = if *loader_calls == 1 { "call" } else { "calls" };
        writeln!(
            out,
            "stampede  {callers} callers of one cold key at once: {loader_calls} loader {calls}, {took:.0?}"
        )?;
        self.write_outage(out)?;
        if self.recorded.is_some() && load.outage_operations > reads {
            writeln!(out, "          the file was read again meanwhile, to keep callers busy")?;
        }
        writeln!(
            out,
            "restart   {} of {} keys were answered by {}, opened in {:.0?}; shutdown {}",
            restart.warm_hits,
            restart.asked,
            self.levels.names().collect::<Vec<_>>().join(" or "),
            restart.opened_in,
            if restart.is_clean { "lost nothing" } else { "was not clean" },
        )?;
        writeln!(
            out,
            "values    every answer checked: {} wrong, {} out of date",
            load.wrong + self.stampede.wrong + restart.wrong,
            load.outdated,
        )?;
        if self.levels.are_on_servers() {
            let (name, minutes) = (&self.levels.manager, LIFE_ON_SERVERS.as_secs() / 60);
            writeln!(
                out,
                "keys      carry the name {name}; entries end within {minutes} minutes, a record a tenant stays"
            )?;
        }
        Ok(())
    }

    /// Who answered how often, and how quickly.
    fn write_levels(&self, out: &mut String) -> fmt::Result {
        let reads = self.load.operations();
        writeln!(
            out,
            "\n{:<18}{:>12}{:>9}{:>12}{:>12}{:>12}",
            "answered by", "reads", "share", "p50 us", "p99 us", "p99.9 us"
        )?;
        for (name, latency) in self.by_level().chain([("origin", &self.load.origin)]) {
            let share = 100.0 * latency.count() as f64 / reads.max(1) as f64;
            let micros = |share| latency.micros(share);
            writeln!(
                out,
                "{name:<18}{:>12}{share:>7.1} %{:>12.1}{:>12.1}{:>12.1}",
                latency.count(),
                micros(0.5),
                micros(0.99),
                micros(0.999),
            )?;
        }
        Ok(())
    }

    /// Names of the levels that were away, or `none`.
    fn away(&self) -> String {
        match self.outage.levels() {
            levels if levels.is_empty() => "none".into(),
            levels => self.names(&levels),
        }
    }

    fn names(&self, levels: &BTreeSet<u8>) -> String {
        let names: Vec<_> = levels.iter().map(|level| self.levels.name(*level)).collect();
        names.join(" and ")
    }

    fn write_outage(&self, out: &mut String) -> fmt::Result {
        let Outage { played, seen } = &self.outage;
        write!(out, "outage    ")?;
        if let Some(played) = played {
            self.write_played(out, played)?;
        }
        if !seen.levels.is_empty() {
            let (levels, away_for) = (self.names(&seen.levels), seen.away_for);
            let besides = if played.is_some() { " besides" } else { "" };
            let back = if seen.is_on() { "not back in use" } else { "back in use" };
            write!(out, "{levels} away for {away_for:.1?}{besides}, {back}\n          ")?;
        } else if played.is_none() {
            write!(out, "none; ")?;
        }
        let Tally { outage_operations, caller_errors, outage_slowest, .. } = &self.load;
        write!(out, "{caller_errors} errors seen by callers")?;
        if *outage_operations > 0 {
            write!(out, ", {outage_operations} reads went on, slowest {outage_slowest:.0?}")?;
        }
        writeln!(out)
    }

    fn write_played(&self, out: &mut String, played: &Played) -> fmt::Result {
        let Played { failed_for, hung_for, answered_while_hung, .. } = played;
        let (level, (toll, spoiled)) = (self.levels.name(played.level), played.toll);
        let back = |after| format!("back in use after {after:.1?}");
        let back = played.recovered_in.map_or("not back in use".into(), back);
        write!(
            out,
            "{level} failed for {failed_for:.1?}, then hung for {hung_for:.1?} \
             ({answered_while_hung} reads meanwhile),\n          \
             {toll} {spoiled}, {back}\n          "
        )
    }

    /// What was asked, and of what.
    fn write_head(&self, out: &mut String, args: &DemoArgs) -> fmt::Result {
        match &self.recorded {
            Some(file) => self.write_file(out, file)?,
            None => writeln!(out, "catalogue of 4 tenants, 40 000 keys, Zipf 0.99, 256 callers")?,
        }
        let origin_ms = args.origin_ms();
        let below = self.levels.places();
        writeln!(out, "level 1: {} MiB, {below}, origin: {origin_ms} ms\n", args.capacity)
    }

    fn write_file(&self, out: &mut String, file: &workload::Report) -> fmt::Result {
        let workload::Report { path, read, skipped, first_skipped, .. } = file;
        writeln!(out, "replay of {}, 256 requests in flight", path.display())?;
        write!(out, "file: {read} requests, {skipped} lines skipped")?;
        if let Some(first) = first_skipped {
            write!(out, " (the first is line {}: {})", first.line, first.reason)?;
        }
        let (sized, reads) = (self.load.sized, self.load.operations());
        let most = BODY_BYTES_MAX / 1024;
        match sized {
            0 => writeln!(out, "\nsizes: none recorded; values have 64 to 1024 bytes"),
            _ => writeln!(out, "\nsizes: recorded for {sized} of {reads} reads, up to {most} KiB"),
        }
    }

    /// An answer that was wrong, old or an error fails the demo.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let load = &self.load;
        let wrong = load.wrong + load.outdated + self.stampede.wrong + self.restart.wrong;
        if wrong > 0 {
            return Err(Failure::broken(format!("{wrong} answers were wrong or out of date")));
        }
        match load.caller_errors {
            0 => Ok(()),
            errors => Err(Failure::broken(format!("callers saw {errors} errors"))),
        }
    }
}
