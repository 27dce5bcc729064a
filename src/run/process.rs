//! What the operating system says about the doctor's own process: from `/proc`, where there is one.

use std::{fs, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::health::ProcessUsage;

/// Ticks a second in `/proc` (`USER_HZ`): 100 on every architecture that the image is built for.
const TICKS: f64 = 100.0;

/// `None` where there is no `/proc`, as on macOS.
pub(super) fn usage() -> Option<ProcessUsage> {
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    // The folder that is being read is one of them.
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    read(&own, &system, &status, open_files)
}

/// From the texts of `/proc/self/stat`, `/proc/stat` and `/proc/self/status` (`proc_pid_stat(5)`, `proc_stat(5)`).
fn read(own: &str, system: &str, status: &str, open_files: usize) -> Option<ProcessUsage> {
    // The name of the program stands in parentheses and may hold spaces and parentheses itself.
    let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
    // The first of these fields is the third of the file.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, kernel, start) = (ticks(14)?, ticks(15)?, ticks(22)?);
    let boot: i64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let booted = Timestamp::from_second(boot).ok()?;
    let since_boot = SignedDuration::try_from_secs_f64(seconds(start)).ok()?;
    Some(ProcessUsage {
        started: booted.checked_add(since_boot).ok()?,
        cpu: Duration::try_from_secs_f64(seconds(user + kernel)).ok()?,
        resident_bytes: kibibytes * 1024,
        open_files,
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str =
        "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 12345 1000000 500 18446744073709551615 1";

    #[test]
    fn the_fields_of_proc_are_read() {
        let usage = read(OWN, "cpu 1 2 3\nbtime 1767268800\n", "Name:\ta\nVmRSS:\t   2048 kB\n", 9).expect("usage");
        assert_eq!(usage.started, "2026-01-01T12:02:03.45Z".parse().expect("a moment"));
        assert_eq!(usage.cpu, Duration::from_secs(3));
        assert_eq!((usage.resident_bytes, usage.open_files), (2_097_152, 9));
    }

    #[test]
    fn what_cannot_be_read_is_not_told() {
        assert_eq!(read("", "btime 1\n", "VmRSS: 1 kB\n", 1), None);
        assert_eq!(read(OWN, "", "VmRSS: 1 kB\n", 1), None);
        assert_eq!(read(OWN, "btime 1\n", "", 1), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_started_and_has_files_open() {
        let usage = usage().expect("usage");
        let age = Timestamp::now().duration_since(usage.started).as_secs();
        assert!((-2..86_400).contains(&age), "{age}");
        assert!(usage.resident_bytes > 1_000_000 && usage.open_files >= 3, "{usage:?}");
    }
}
