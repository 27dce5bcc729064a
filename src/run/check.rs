//! `check`: one look, one report.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use super::{Failure, serve::connect_within};
use crate::{
    args::{Check, Output},
    observe::{
        bundle,
        cluster::{Options, observe_once},
    },
    render::text::text,
    report::{Passage, Report},
};

pub(super) async fn check(arguments: Check) -> Result<ExitCode, Failure> {
    let gate = arguments.gate();
    let Check { source, output, timeout, runbooks, .. } = arguments;
    let snapshot = if let Some(path) = &source.from {
        Arc::new(bundle::read_up_to(path, source.largest_file())?)
    } else {
        let clients = connect_within(&source, timeout).await?;
        let options = Options {
            features: source.features(clients.in_cluster),
            probe_namespaces: source.probe_namespaces.clone(),
            ..Options::default()
        };
        let (snapshot, trouble) = observe_once(clients, options, timeout).await;
        if let Some(trouble) = trouble {
            // The report says so too; that nobody reads stderr is no reason to say nothing there.
            let _ = writeln!(io::stderr(), "metrics-server-doctor: the API server does not answer: {trouble}");
        }
        snapshot
    };
    let report = Report::new(&snapshot);
    let links = runbooks.links();
    let shown = match output {
        Output::Text => text(&report, &links),
        Output::Json => {
            let json = report.to_json(&links);
            let json = serde_json::to_string_pretty(&json).map_err(|error| Failure::Defect(error.to_string()))?;
            format!("{json}\n")
        }
    };
    // A reader that has seen enough (`| head`) is no failure.
    match io::stdout().lock().write_all(shown.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Failure::Defect(error.to_string())),
        _ => {}
    }
    Ok(ExitCode::from(match gate.weigh(&report) {
        Passage::Open => 0,
        Passage::Fault => 1,
        Passage::Unknown => 2,
    }))
}
