//! `meanwhile.sh`, with a `cargo` that stands in for what builds.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// Runs `command` while `cargo run` does what `building` says, in a folder of its own.
fn meanwhile(folder: &Path, building: &str, command: &str) -> ExitStatus {
    fs::write(folder.join("cargo.sh"), format!("#!/bin/sh\n[ \"$1\" = run ] || exit 0\n{building}\n")).expect("a file");
    // Written by another process: a program cannot start that a fork of this one still has open.
    let installed =
        Command::new("install").arg("--mode=755").arg(folder.join("cargo.sh")).arg(folder.join("cargo")).status();
    assert!(installed.expect("`install` starts").success());
    let path = std::env::var("PATH").unwrap_or_default();
    let script = components::project_root().join("tests/components/meanwhile.sh");
    Command::new(script)
        .args(["sh", "-c", command])
        .env("PATH", format!("{}:{path}", folder.display()))
        .current_dir(folder)
        .status()
        .expect("the script starts")
}

#[test]
fn both_run_side_by_side_and_both_are_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    // Each waits for the other's beginning.
    let building = "echo >built && while [ ! -e tested ]; do sleep 0.05; done && sleep 0.3 && echo >whole";
    let command = "while [ ! -e built ]; do sleep 0.05; done && echo >tested";
    assert!(meanwhile(folder.path(), building, command).success());
    assert!(folder.path().join("whole").exists(), "the building was not waited for");
}

#[test]
fn what_fails_is_told_whichever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(meanwhile(folder.path(), "exit 3", "true").code(), Some(3));
    assert_eq!(meanwhile(folder.path(), "true", "exit 4").code(), Some(4));
}

#[test]
fn when_the_command_fails_the_building_ends_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let building = "sleep 60 & echo $! >compiler && wait";
    let status = meanwhile(folder.path(), building, "while [ ! -s compiler ]; do sleep 0.05; done; exit 5");
    assert_eq!(status.code(), Some(5));
    assert!(begin.elapsed() < Duration::from_secs(20), "it was waited for");
    let compiler = fs::read_to_string(folder.path().join("compiler")).expect("its number");
    let process = Path::new("/proc").join(compiler.trim()).join("cmdline");
    // One that has ended, and that nobody has asked for, has no command line.
    let runs = || fs::read(&process).is_ok_and(|words| words.starts_with(b"sleep"));
    while runs() && begin.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!runs(), "the compiler runs on");
}
