//! `runbook`: what the program knows of a step or a cause, at the terminal.

use std::io::{self, Write};

use super::Failure;
use crate::{args::Page, runbooks};

/// Prints the page, or the list of all where none is named.
pub(super) fn print(page: Option<Page>) -> Result<(), Failure> {
    let text = match page {
        Some(page) => format!("{}\n", page.text.trim_end()),
        None => runbooks::all().map(|page| format!("{:<20} {}\n", page.id, page.title)).collect(),
    };
    // A reader that has seen enough (`| head`) is no failure.
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Defect(error.to_string())),
        _ => Ok(()),
    }
}
