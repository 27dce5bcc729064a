//! The command `components`: brings what tests read. `components [NAME…]`, a name being a program such as promtool or a folder
//! such as prometheus-operator-0.85.0 or helm-3.22.0; without names everything but what runs at night.

use std::process::ExitCode;

use anyhow::{Result, bail};
use components::{ALL, Builder, Component, FILES, Files};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    match bring(&names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("components: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bring(names: &[String]) -> Result<()> {
    let builder = Builder::default();
    let (programs, files) = if names.is_empty() { (ALL.to_vec(), FILES.to_vec()) } else { wanted(names)? };
    // A forgotten module is told before half an hour of building.
    files.iter().try_for_each(|files| builder.files(files))?;
    programs.iter().try_for_each(|component| builder.program(component))
}

fn wanted(names: &[String]) -> Result<(Vec<Component>, Vec<Files>)> {
    let (mut programs, mut files) = (Vec::new(), Vec::new());
    for name in names {
        if name.starts_with('-') {
            bail!("usage: components [PROGRAM or FOLDER]…");
        }
        if let Some(found) = FILES.iter().find(|files| files.folder == name) {
            files.push(*found);
        } else {
            let of_folder = ALL.iter().filter(|component| component.folder == name).copied();
            let before = programs.len();
            programs.extend(of_folder);
            if programs.len() == before {
                programs.push(components::named(name)?);
            }
        }
    }
    Ok((programs, files))
}
