//! What packagers ship beside the program, made from the same flags that it reads: shell completions and manual pages.

use std::{
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Failure;
use crate::args::Arguments;

const NAME: &str = "metrics-server-doctor";

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut text);
    match io::stdout().lock().write_all(&text) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Defect(error.to_string())),
        _ => Ok(()),
    }
}

/// Writes a manual page for the program and one for each subcommand into a folder.
pub(super) fn manual(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Arguments::command(), folder)
        .map_err(|source| Failure::Unwritable { path: folder.to_owned(), source })
}
