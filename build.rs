//! Tells the program what it is built from; `--version` and `metrics_server_doctor_build_info` show it. Nothing here
//! depends on the time or the place of the build.

use std::{env, fs, path::Path, process::Command};

/// For builds that have no repository at hand, such as those of an image.
const REVISION: &str = "METRICS_SERVER_DOCTOR_BUILD_REVISION";

fn main() {
    println!("cargo::rerun-if-env-changed={REVISION}");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var(REVISION).ok().filter(|revision| !revision.is_empty());
    let revision = given.or_else(checked_out).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(compiler).arg("--version"));
    let version = version.as_deref().and_then(|text| text.split(' ').nth(1)).unwrap_or("unknown");
    println!("cargo::rustc-env=BUILD_RUSTC={version}");
}

/// The commit that is checked out here. Only for release builds: others would be compiled anew after every commit.
fn checked_out() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let root = env::var("CARGO_MANIFEST_DIR").ok()?;
    // Sources that were unpacked inside another repository are not part of it.
    let top = git(&root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(&root).ok()? {
        return None;
    }
    let log = Path::new(&root).join(git(&root, &["rev-parse", "--git-path", "logs/HEAD"])?);
    println!("cargo::rerun-if-changed={}", log.display());
    git(&root, &["rev-parse", "HEAD"])
}

fn git(folder: &str, arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(["-C", folder]).args(arguments))
}

/// What a command prints, where it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
