//! Runs the beds side by side: one process a cluster, whose output is this process's to print.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;
use testbed::side_by_side::{each, end_with_the_caller, parallel, run_again, told};

use crate::{
    audit,
    beds::{self, BEDS, Bed},
    cluster::Cluster,
    matrix::{AT_NIGHT, Kind, Row},
};

/// The argument by which every row is tried.
pub(crate) const NIGHT: &str = "--night";

/// How many times a bed is started anew for the rows that it has not tried yet.
const STARTS: usize = 3;
/// A row takes five minutes at most; a process that says nothing for longer hangs.
const ROW_LIMIT: Duration = Duration::from_mins(8);

/// Where logs of failed rows are kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault-matrix")
}

struct Tried {
    bed: &'static str,
    row: &'static str,
    seconds: f64,
    /// `None` where it went well.
    error: Option<String>,
    /// Whether it was tried a second time, on a fresh cluster.
    again: bool,
}

/// Tries every row, or those with one of the words in their name or their bed's; what takes long only where it is asked for,
/// by name or by [`NIGHT`].
pub(crate) fn all(words: &[&str]) -> ExitCode {
    let begin = Instant::now();
    let wanted = |bed: &Bed, row: &Row| {
        words == [NIGHT]
            || words.is_empty() && !AT_NIGHT.contains(&row.name)
            || words.iter().any(|word| row.name.contains(word) || bed.name == *word)
    };
    let jobs: Vec<(&Bed, Vec<usize>)> = BEDS
        .iter()
        .map(|bed| {
            (bed, bed.rows().enumerate().filter(|(_, row)| wanted(bed, row)).map(|(number, _)| number).collect())
        })
        .filter(|(_, rows): &(&Bed, Vec<usize>)| !rows.is_empty())
        .collect();
    let count: usize = jobs.iter().map(|(_, rows)| rows.len()).sum();
    println!("{count} rows on {} clusters, {} side by side", jobs.len(), parallel());
    if words.is_empty() {
        println!("left to the night: {}", AT_NIGHT.join("; "));
    }
    let (mut tried, mut slowest) = (Vec::new(), Duration::ZERO);
    for (outcomes, slowest_of_bed) in each(jobs, parallel(), |(bed, rows)| run_bed(bed, rows)) {
        tried.extend(outcomes);
        slowest = slowest.max(slowest_of_bed);
    }
    tried.sort_by_key(|one| BEDS.iter().position(|bed| bed.name == one.bed));
    print_table(&tried);
    println!("slowest page: {:.1} s after the API server showed it", slowest.as_secs_f64());
    let failed: Vec<&Tried> = tried.iter().filter(|one| one.error.is_some()).collect();
    for one in &failed {
        println!("\nFAILED {} / {}:\n{}", one.bed, one.row, one.error.as_deref().unwrap_or_default());
    }
    println!("{} of {count} rows ok in {} s", count - failed.len().min(count), begin.elapsed().as_secs());
    if failed.is_empty() && tried.len() == count {
        return ExitCode::SUCCESS;
    }
    println!("logs of failed rows: {}", folder().display());
    ExitCode::FAILURE
}

fn print_table(tried: &[Tried]) {
    println!("\n{:<20} {:<56} {:>8}  outcome", "bed", "row", "seconds");
    for one in tried {
        let outcome = match (&one.error, one.again) {
            (None, false) => "ok",
            (None, true) => "ok at another try",
            (Some(_), _) => "FAILED",
        };
        println!("{:<20} {:<56} {:>8.1}  {outcome}", one.bed, one.row, one.seconds);
    }
    println!();
}

/// Tries rows of a bed in a process of its own, and those that it could not try in another.
fn run_bed(bed: &'static Bed, mut left: Vec<usize>) -> (Vec<Tried>, Duration) {
    let mut all = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut last_error = String::new();
    for _ in 0..STARTS {
        if left.is_empty() {
            break;
        }
        match run_process(bed, &left, &mut all, &mut slowest) {
            Ok(()) => {}
            Err(error) => last_error = format!("{error:#}"),
        }
        left.retain(|number| !bed.rows().nth(*number).is_some_and(|row| all.iter().any(|one| one.row == row.name)));
    }
    for number in left {
        let Some(row) = bed.rows().nth(number) else { continue };
        let error = Some(format!("not tried: {last_error}"));
        all.push(Tried { bed: bed.name, row: row.name, seconds: 0.0, error, again: false });
    }
    for _ in 0..SECOND_TRIES {
        try_again(bed, &mut all, &mut slowest);
    }
    (all, slowest)
}

/// How often rows that failed are tried again.
const SECOND_TRIES: usize = 2;

/// Tries rows that failed once more, on a fresh cluster: what never succeeds fails, and that it took another try is told.
fn try_again(bed: &'static Bed, all: &mut [Tried], slowest: &mut Duration) {
    let has_failed = |row: &Row| all.iter().any(|one| one.row == row.name && one.error.is_some());
    let failed: Vec<usize> =
        bed.rows().enumerate().filter(|(_, row)| has_failed(row)).map(|(number, _)| number).collect();
    if failed.is_empty() {
        return;
    }
    println!("{}: {} rows are tried again on a fresh cluster", bed.name, failed.len());
    let mut again = Vec::new();
    // What it could not try stays failed.
    let _ = run_process(bed, &failed, &mut again, slowest);
    for one in again {
        if let Some(first) = all.iter_mut().find(|known| known.row == one.row) {
            *first = Tried { again: true, ..one };
        }
    }
}

fn run_process(bed: &'static Bed, rows: &[usize], all: &mut Vec<Tried>, slowest: &mut Duration) -> Result<()> {
    let logs = folder().join(bed.name.replace(' ', "-"));
    let numbers: Vec<String> = rows.iter().map(usize::to_string).collect();
    let arguments = ["--bed", bed.name, "--rows", &numbers.join(",")];
    let ended = run_again(&arguments, &logs.join("output.log"), ROW_LIMIT, |line| {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["healthy", seconds] => println!("{}: the cluster is healthy after {seconds} s", bed.name),
            ["slowest", milliseconds] => {
                let measured = Duration::from_millis(milliseconds.parse().unwrap_or_default());
                *slowest = (*slowest).max(measured);
            }
            ["row", number, milliseconds, outcome] => {
                let Some(row) = number.parse().ok().and_then(|number| bed.rows().nth(number)) else { return };
                let seconds = Duration::from_millis(milliseconds.parse().unwrap_or_default()).as_secs_f64();
                println!("{}: {} ... {outcome} ({seconds:.1} s)", bed.name, row.name);
                let error = (*outcome != "ok").then(|| {
                    fs::read_to_string(logs.join(row.name.replace(' ', "-")).join("error.txt")).unwrap_or_default()
                });
                all.push(Tried { bed: bed.name, row: row.name, seconds, error, again: false });
            }
            _ => println!("{}: {line}", bed.name),
        }
    });
    if let Err(error) = &ended {
        println!("{}: {error:#}", bed.name);
    }
    ended
}

/// The process of one bed: enters its namespaces, starts the cluster and tries the rows.
pub(crate) fn inside(name: &str, numbers: &str) -> ExitCode {
    let Some(bed) = BEDS.iter().find(|bed| bed.name == name) else {
        eprintln!("no bed {name}");
        return ExitCode::FAILURE;
    };
    if let Err(error) = testbed::isolation::enter() {
        eprintln!("no test on a real control plane is possible here: {error:#}");
        return ExitCode::FAILURE;
    }
    end_with_the_caller();
    let begin = Instant::now();
    let cluster = match Cluster::start(&bed.plan(), env!("CARGO_BIN_EXE_metrics-server-doctor").as_ref()) {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("the cluster does not start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("healthy\t{}", begin.elapsed().as_secs());
    let rows: Vec<&Row> = bed.rows().collect();
    // From the doctor's first request on.
    let mut looked_at = Timestamp::UNIX_EPOCH;
    for number in numbers.split(',').filter_map(|number| number.parse::<usize>().ok()) {
        let Some(row) = rows.get(number) else { continue };
        let begin = Instant::now();
        let outcome = try_row(&cluster, row);
        let now = Timestamp::now();
        let outcome = outcome.and_then(|()| audit::nothing_was_refused(&cluster, row.name, looked_at));
        looked_at = now;
        let milliseconds = begin.elapsed().as_millis();
        let Err(error) = outcome else {
            println!("row\t{number}\t{milliseconds}\tok");
            continue;
        };
        let logs = folder().join(bed.name.replace(' ', "-")).join(row.name.replace(' ', "-"));
        cluster.write_logs(&logs, &error);
        println!("row\t{number}\t{milliseconds}\tFAILED");
        let reset = catch_unwind(AssertUnwindSafe(|| cluster.reset()));
        let reset = reset.unwrap_or_else(|panic| Err(anyhow::anyhow!("{}", told(&*panic))));
        if let Err(error) = reset {
            eprintln!("the cluster does not get well again: {error:#}");
            println!("slowest\t{}", cluster.slowest().as_millis());
            return ExitCode::FAILURE;
        }
    }
    println!("slowest\t{}", cluster.slowest().as_millis());
    ExitCode::SUCCESS
}

fn try_row(cluster: &Cluster, row: &Row) -> Result<(), String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| match &row.kind {
        Kind::Fault(fault) => cluster.try_fault(fault),
        Kind::Quiet(change) => cluster.try_quiet(*change),
        Kind::Pair(pair) => match (beds::fault(pair.upstream), beds::fault(pair.other)) {
            (Some(upstream), Some(other)) => cluster.try_pair(upstream, other),
            _ => Err(anyhow::anyhow!("no such rows of faults")),
        },
        Kind::Own(look) | Kind::Named(_, look) => {
            look(cluster);
            Ok(())
        }
    }));
    match outcome {
        Ok(tried) => tried.map_err(|error| format!("{error:#}")),
        Err(panic) => Err(told(&*panic)),
    }
}
