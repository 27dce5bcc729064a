//! Beds side by side: one process a bed, since namespaces belong to a process, and what they say is the calling process's
//! to print.

use std::{
    any::Any,
    collections::VecDeque,
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::isolation;

/// How many beds run side by side: `TESTBED_PARALLEL`, else one more than twice the processors, since beds wait more than
/// they work.
pub fn parallel() -> usize {
    let usual = || 2 * thread::available_parallelism().map_or(1, usize::from) + 1;
    env::var("TESTBED_PARALLEL").ok().and_then(|number| number.parse().ok()).unwrap_or_else(usual)
}

/// Does every job, so many at a time and the first first; the results come in the order of their ends.
pub fn each<J: Send, R: Send>(jobs: Vec<J>, parallel: usize, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    let (jobs, results) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(job) = job else { return };
                    let result = work(job);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs this program once more with other arguments and hands each line that it prints to `line`; its standard error is
/// appended to `log`. A process that says nothing for `silence` hangs and is ended.
///
/// # Errors
///
/// When it ends with a failure, with the end of its log.
pub fn run_again(arguments: &[&str], log: &Path, silence: Duration, mut line: impl FnMut(&str)) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut child = Command::new(env::current_exe()?)
        .args(arguments)
        // It ends when this end is closed, so that nothing outlives this process however it ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(log)?)
        .spawn()?;
    let id = child.id();
    let lines = BufReader::new(child.stdout.take().context("no output")?);
    let alive = Mutex::new(Instant::now());
    let over = Mutex::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !*over.lock().unwrap_or_else(PoisonError::into_inner) {
                thread::sleep(Duration::from_secs(1));
                if alive.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > silence {
                    let _ = isolation::end(id);
                    return;
                }
            }
        });
        for told in lines.lines().map_while(Result::ok) {
            *alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            line(&told);
            // Progress is for whoever looks on.
            let _ = std::io::stdout().flush();
        }
        *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
    });
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(12)..].join("\n");
    bail!("it ended with {status}; the end of {}:\n{end}", log.display());
}

/// For what [`run_again`] starts: ends this process when the one that started it has ended.
pub fn end_with_the_caller() {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}

/// What a panic says.
pub fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_job_is_done_once_and_no_more_than_that_many_at_a_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut results = each((0..20).collect(), 3, |job: usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            job * 2
        });
        results.sort_unstable();
        assert_eq!(results, (0..20).map(|job| job * 2).collect::<Vec<_>>());
        assert!((2..=3).contains(&most.into_inner()));
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let words = |panic: Box<dyn Any + Send>| told(&*panic);
        assert_eq!(words(Box::new("as it is")), "as it is");
        assert_eq!(words(Box::new(format!("made of {}", "parts"))), "made of parts");
    }
}
