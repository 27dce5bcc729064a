//! What packagers ship beside the program, made from the same flags that it reads: shell completions and manual pages.

use std::{io, path::Path};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Failure;
use crate::args::Arguments;

const NAME: &str = "metrics-server-doctor";

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut io::stdout().lock());
}

/// Writes a manual page for the program and one for each subcommand into a folder.
pub(super) fn manual(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Arguments::command(), folder)
        .map_err(|source| Failure::Unwritable { path: folder.to_owned(), source })
}
