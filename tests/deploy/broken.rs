//! A pod whose account is not what it should be.

use std::{fs, path::Path, process::Command};

use testbed::{
    Bed,
    isolation::{API_SERVER_ADDRESS, STATE},
};

use crate::{
    installed::BINARY,
    kubelet::{ACCOUNT_FOLDER, give_token},
};

/// A file that every pod has, what it holds instead (`None` where it is missing), the exit code, and what is said.
const BROKEN: &[(&str, Option<&str>, i32, &str)] = &[
    ("ca.crt", None, 66, "failed to read a certificate bundle"),
    ("ca.crt", Some("no certificate"), 66, "failed to add a root certificate"),
    ("token", None, 66, "failed to read token file"),
    // As one that has expired.
    ("token", Some("unknown"), 2, "401"),
];

pub(crate) fn account(bed: &Bed) {
    for (file, content, code, words) in BROKEN {
        give_token(bed, "default", "default");
        let path = Path::new(ACCOUNT_FOLDER).join(file);
        match content {
            Some(content) => fs::write(path, content).expect("a file"),
            None => fs::remove_file(path).expect("a file"),
        }
        let mut command = Command::new(BINARY);
        command.args(["check", "--timeout=10"]).current_dir(STATE).env("HOME", STATE).env("RUST_BACKTRACE", "1");
        command.env("KUBERNETES_SERVICE_HOST", API_SERVER_ADDRESS).env("KUBERNETES_SERVICE_PORT", "6443");
        let output = command.env_remove("KUBECONFIG").output().expect("the doctor starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{file} {content:?}: {told}");
        assert!(told.trim_end().lines().count() == 1 && told.contains(words), "{file} {content:?}: {told}");
    }
}
