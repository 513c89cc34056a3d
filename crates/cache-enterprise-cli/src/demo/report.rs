//! What a person or a program reads at the end.

use std::fmt::Write;

use cache_enterprise_workload as workload;
use serde::Serialize;

use super::latency::Latency;
use super::load::Tally;
use super::outage::Outage;
use super::requests::BODY_BYTES_MAX;
use super::restart::Restart;
use super::stampede::Stampede;
use super::{LEVEL_1, LEVEL_2};
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Everything the demo found out.
#[derive(Debug)]
pub(crate) struct Report {
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
    levels: [LevelJson; 2],
    misses: u64,
    origin_calls: u64,
    origin_calls_without_cache: u64,
    stampede: &'a Stampede,
    outage: OutageJson,
    restart: &'a Restart,
}

#[derive(Serialize)]
struct LevelJson {
    name: &'static str,
    hits: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

#[derive(Serialize)]
struct OutageJson {
    level: &'static str,
    operations: u64,
    caller_errors: u64,
}

impl LevelJson {
    fn new(name: &'static str, latency: &Latency) -> Self {
        let micros = |share| latency.micros(share);
        let (p50_us, p99_us, p999_us) = (micros(0.5), micros(0.99), micros(0.999));
        Self { name, hits: latency.count(), p50_us, p99_us, p999_us }
    }
}

impl Report {
    fn per_second(&self) -> f64 {
        self.load.operations() as f64 / self.load.elapsed.as_secs_f64().max(1e-6)
    }

    /// One object on one line.
    pub(crate) fn json(&self) -> String {
        let load = &self.load;
        let json = Json {
            operations: load.operations(),
            elapsed_seconds: load.elapsed.as_secs_f64(),
            ops_per_second: self.per_second(),
            levels: [LevelJson::new(LEVEL_1, &load.memory), LevelJson::new(LEVEL_2, &load.disk)],
            misses: load.origin.count() + load.errors,
            origin_calls: load.loads,
            origin_calls_without_cache: load.operations(),
            stampede: &self.stampede,
            outage: OutageJson {
                level: LEVEL_2,
                operations: load.outage_operations,
                caller_errors: load.outage_errors,
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

    fn write(&self, out: &mut String, args: &DemoArgs) -> std::fmt::Result {
        let (load, outage, restart) = (&self.load, &self.outage, &self.restart);
        let reads = load.operations();
        self.write_head(out, args)?;
        let (seconds, rate) = (load.elapsed.as_secs_f64(), self.per_second());
        writeln!(
            out,
            "{reads} reads in {seconds:.1} s, {rate:.0} a second; {} writes",
            load.writes
        )?;
        writeln!(
            out,
            "\n{:<12}{:>12}{:>9}{:>12}{:>12}{:>12}",
            "answered by", "reads", "share", "p50 us", "p99 us", "p99.9 us"
        )?;
        for (name, latency) in
            [(LEVEL_1, &load.memory), (LEVEL_2, &load.disk), ("origin", &load.origin)]
        {
            let share = 100.0 * latency.count() as f64 / reads.max(1) as f64;
            let micros = |share| latency.micros(share);
            writeln!(
                out,
                "{name:<12}{:>12}{share:>7.1} %{:>12.1}{:>12.1}{:>12.1}",
                latency.count(),
                micros(0.5),
                micros(0.99),
                micros(0.999),
            )?;
        }
        writeln!(out, "\norigin    {} calls with the cache, {reads} without", load.loads)?;
        let Stampede { callers, loader_calls, took, .. } = &self.stampede;
        let calls = if *loader_calls == 1 { "call" } else { "calls" };
        writeln!(
            out,
            "stampede  {callers} callers of one cold key at once: {loader_calls} loader {calls}, {took:.0?}"
        )?;
        writeln!(
            out,
            "outage    {LEVEL_2} failed for {:.1?}, then hung for {:.1?}: {} reads went on ({} while it hung),",
            outage.failed_for, outage.hung_for, load.outage_operations, outage.answered_while_hung,
        )?;
        let back = outage
            .recovered_in
            .map_or("not back in use".into(), |after| format!("back in use after {after:.1?}"));
        writeln!(
            out,
            "          {} errors seen by callers, slowest {:.0?}, {} calls to the disk spoiled, {back}",
            load.outage_errors, load.outage_slowest, outage.spoiled_calls,
        )?;
        if self.recorded.is_some() && load.outage_operations > reads {
            writeln!(out, "          the file was read again meanwhile, to keep callers busy")?;
        }
        writeln!(
            out,
            "restart   {} of {} keys were answered by {LEVEL_2}, opened in {:.0?}; shutdown {}",
            restart.warm_hits,
            restart.asked,
            restart.opened_in,
            if restart.is_clean { "lost nothing" } else { "was not clean" },
        )?;
        writeln!(
            out,
            "values    every answer checked: {} wrong, {} out of date",
            load.wrong + self.stampede.wrong + restart.wrong,
            load.outdated,
        )
    }

    /// What was asked, and of what.
    fn write_head(&self, out: &mut String, args: &DemoArgs) -> std::fmt::Result {
        match &self.recorded {
            Some(file) => self.write_file(out, file)?,
            None => writeln!(out, "catalogue of 4 tenants, 40 000 keys, Zipf 0.99, 256 callers")?,
        }
        let origin_ms = args.origin_ms();
        writeln!(out, "level 1: {} MiB, level 2: disk, origin: {origin_ms} ms\n", args.capacity)
    }

    fn write_file(&self, out: &mut String, file: &workload::Report) -> std::fmt::Result {
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
        match load.errors + load.outage_errors {
            0 => Ok(()),
            errors => Err(Failure::broken(format!("callers saw {errors} errors"))),
        }
    }
}
