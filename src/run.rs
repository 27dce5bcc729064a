//! The ways to run: each fills snapshots from another observer, and all else is the same.

mod check;
mod demo;
mod packaging;
mod process;
mod publisher;
mod runbook;
mod serve;
mod serving;
mod stderr;
mod terminal;
mod usage;

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use self::stderr::Lines;
use crate::{
    args::{Arguments, Command, Log, LogFormat},
    http::CertificateError,
    observe::{bundle::BundleError, cluster::ConnectError},
    render::visible::{visible, visible_json},
    snapshot::NotSeen,
};

/// It could not be told, as `check` ends where the cluster did not show enough.
const UNKNOWN: u8 = 2;
/// Ended by Ctrl-C, as shells tell it.
const INTERRUPTED: u8 = 130;
/// Wrong usage, as in BSD's `sysexits.h`.
const USAGE: u8 = 64;
/// Input that cannot be read.
const NO_INPUT: u8 = 66;
/// An output that cannot be written.
const CANNOT_CREATE: u8 = 73;
/// A port that cannot be had.
const UNAVAILABLE: u8 = 69;
/// A defect of the doctor itself.
const SOFTWARE: u8 = 70;

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no connection to a cluster: kubeconfig and credentials could not be had within {} s", .0.as_secs())]
    NoCredentials(Duration),
    #[error("--kubeconfig {} does not exist", .0.display())]
    NoKubeconfig(PathBuf),
    #[error("--hpa {wanted}: there is no such HorizontalPodAutoscaler{}", match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => ", and no other one either".to_owned(),
    })]
    NoSuchAutoscaler { wanted: String, nearest: Option<String> },
    #[error("--hpa {wanted}: the HorizontalPodAutoscalers were not seen: {reason}")]
    NoAutoscalers { wanted: String, reason: NotSeen },
    #[error("--hpa explains as text: leave --output out")]
    HpaIsText,
    #[error("interrupted")]
    Interrupted,
    #[error("cannot listen on {address}: {source}; name another with --listen-address")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("--authentication token-review needs a cluster that can be asked, and --from names none")]
    NobodyToAsk,
    #[error("cannot write into {}: {source}", .path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
    #[error("--log-level {filter}: {reason}")]
    LogLevel { filter: String, reason: String },
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    #[error("{0}")]
    Defect(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Bundle(_)
            | Self::Connect(_)
            | Self::NoCredentials(_)
            | Self::NoKubeconfig(_)
            | Self::Certificate(_)
            | Self::NoSuchAutoscaler { .. } => NO_INPUT,
            Self::NoAutoscalers { .. } => UNKNOWN,
            Self::Interrupted => INTERRUPTED,
            Self::Listen { .. } => UNAVAILABLE,
            Self::LogLevel { .. } | Self::NobodyToAsk | Self::HpaIsText => USAGE,
            Self::Unwritable { .. } => CANNOT_CREATE,
            Self::Start(_) | Self::Defect(_) => SOFTWARE,
        }
    }
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments = match usage::parse() {
        Ok(arguments) => arguments,
        Err((error, variable)) => {
            // Nothing can be done about a closed terminal.
            drop(error.print());
            if let Some(variable) = variable {
                stderr::say(&format!("\nThe value comes from the environment variable {variable}."));
            }
            return if usage::was_asked_for(&error) { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let Arguments { command, serve } = arguments;
    match run(command.unwrap_or(Command::Serve(serve))) {
        Ok(code) => code,
        Err(failure) => {
            // Names in it come from files and clusters.
            stderr::say(&format!("metrics-server-doctor: {}", visible(&failure.to_string())));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Completions { shell } => return packaging::completions(shell).map(|()| ExitCode::SUCCESS),
        Command::Manual { folder } => return packaging::manual(&folder).map(|()| ExitCode::SUCCESS),
        Command::Runbook { page } => return runbook::print(page).map(|()| ExitCode::SUCCESS),
        Command::Serve(_) | Command::Check(_) | Command::Demo(_) => {}
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::Start)?;
    let log = match &command {
        Command::Serve(arguments) => &arguments.log,
        Command::Check(arguments) => &arguments.log,
        Command::Demo(arguments) => &arguments.log,
        Command::Completions { .. } | Command::Manual { .. } | Command::Runbook { .. } => return Ok(ExitCode::SUCCESS),
    };
    let lines = log_to_stderr(log)?;
    let code = match command {
        Command::Serve(arguments) => runtime.block_on(serve::serve(arguments)).map(|()| ExitCode::SUCCESS),
        Command::Check(arguments) => runtime.block_on(check::check(arguments)),
        Command::Demo(arguments) => runtime.block_on(demo::demo(arguments)).map(|()| ExitCode::SUCCESS),
        Command::Completions { .. } | Command::Manual { .. } | Command::Runbook { .. } => Ok(ExitCode::SUCCESS),
    };
    // A name server that does not answer must not keep the process.
    runtime.shutdown_background();
    lines.flush();
    code
}

/// Lines of the JSON log, in whose values nothing acts that came from a cluster; those of text escape it themselves.
struct JsonLines(Lines);

impl Write for JsonLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_to_stderr(log: &Log) -> Result<Lines, Failure> {
    // kube logs whole bodies that it cannot parse, and every answer above 499 as an error; both are told by the observer.
    let filters = format!("{},kube_client=off,kube_runtime=error", log.log_level);
    let filter = EnvFilter::try_new(&filters)
        .map_err(|error| Failure::LogLevel { filter: log.log_level.clone(), reason: error.to_string() })?;
    let lines = Lines::to(std::io::stderr()).map_err(Failure::Start)?;
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal());
    match log.log_format {
        LogFormat::Text => subscriber.with_writer(move || writer.clone()).init(),
        LogFormat::Json => subscriber.json().with_writer(move || JsonLines(writer.clone())).init(),
    }
    for variable in usage::unknown_variables() {
        tracing::warn!(variable, "this environment variable sets no flag; --help lists those that do");
    }
    Ok(lines)
}
