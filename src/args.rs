//! Flags, each also an environment variable.

#![allow(clippy::doc_markdown, reason = "these texts are what --help prints, where backticks only disturb")]

mod values;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::values::{Autoscaler, Page};
use self::values::{autoscaler, duration, external_url, runbook, scene, seconds, step};
use crate::{
    check::Impact,
    guide::Step,
    http::CertificateFiles,
    observe::{bundle, cluster::Features},
    render::HpaSeries,
    report::{Gate, Links},
    version,
};

/// Runs the Kubernetes metrics-server troubleshooting guide continuously: every step as gauges on /metrics, the first
/// failing step and its cause as one verdict.
#[derive(Debug, Parser)]
#[command(name = "metrics-server-doctor", version = version::LONG, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do; `serve` where nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a cluster and serve what is wrong with it (the default)
    Serve(Serve),
    /// Look once, print a report; exit code 0 healthy, 1 fault, 2 could not tell, 64 and above wrong usage or input
    Check(Check),
    /// Serve an embedded sample cluster that walks through the guide's failures; needs no cluster
    Demo(Demo),
    /// Print a runbook: the page of a step of the guide, or what it says of one cause
    Runbook {
        /// STEP or STEP/CAUSE, as reports name them; without it the list of the pages
        #[arg(value_name = "STEP/CAUSE", value_parser = runbook)]
        page: Option<Page>,
    },
    /// Print the completions for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages into a folder
    #[command(hide = true)]
    Manual {
        /// The folder
        folder: PathBuf,
    },
}

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// What to look at.
    #[command(flatten)]
    pub source: Source,
    /// Where to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// Who may read /, /metrics and /api/v1/report; /runbooks/, /livez and /readyz are open
    #[arg(long, value_enum, default_value_t, value_name = "MODE", env = "METRICS_SERVER_DOCTOR_AUTHENTICATION")]
    pub authentication: Authentication,
    /// How to log.
    #[command(flatten)]
    pub log: Log,
    /// Where runbooks are.
    #[command(flatten)]
    pub runbooks: Runbooks,
    /// What is on the page of metrics.
    #[command(flatten)]
    pub page: MetricsPage,
}

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// What to look at.
    #[command(flatten)]
    pub source: Source,
    /// Form of the report
    #[arg(long, short, value_enum, default_value_t, env = "METRICS_SERVER_DOCTOR_OUTPUT")]
    pub output: Output,
    /// List every check, all evidence and all names
    #[arg(long, short, env = "METRICS_SERVER_DOCTOR_VERBOSE")]
    pub verbose: bool,
    /// Whether the report is coloured; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "METRICS_SERVER_DOCTOR_COLOR")]
    pub color: Color,
    /// Explain one HorizontalPodAutoscaler: target, selector, pods, requests, samples and what the controller says
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = autoscaler, env = "METRICS_SERVER_DOCTOR_HPA")]
    pub hpa: Option<Autoscaler>,
    /// Look again and again until the exit code would be 0, at most for this time, such as 90s or 2m
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "from", env = "METRICS_SERVER_DOCTOR_WAIT_HEALTHY")]
    pub wait_healthy: Option<Duration>,
    /// What makes the exit code non-zero, separated by commas: faults of that impact and worse, and `unknown`
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "partial,unknown",
        value_name = "WHAT",
        env = "METRICS_SERVER_DOCTOR_FAIL_ON"
    )]
    pub fail_on: Vec<FailOn>,
    /// Sections of the guide that do not count for the exit code, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STEPS", value_parser = step, env = "METRICS_SERVER_DOCTOR_IGNORE_STEP")]
    pub ignore_step: Vec<Step>,
    /// Longest time that the look at a cluster may take, in seconds; what was not seen by then is unknown
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds, env = "METRICS_SERVER_DOCTOR_TIMEOUT")]
    pub timeout: Duration,
    /// How to log.
    #[command(flatten)]
    pub log: Log,
    /// Where runbooks are.
    #[command(flatten)]
    pub runbooks: Runbooks,
}

impl Check {
    /// What counts for the exit code.
    pub fn gate(&self) -> Gate {
        let fault = self.fail_on.iter().filter_map(|what| match what {
            FailOn::Outage => Some(Impact::Outage),
            FailOn::Partial => Some(Impact::Partial),
            FailOn::Latent => Some(Impact::Latent),
            FailOn::Unknown => None,
        });
        Gate { fault: fault.max(), unknown: self.fail_on.contains(&FailOn::Unknown), ignored: self.ignore_step.clone() }
    }
}

/// What makes the exit code of `check` other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Metrics are unavailable for everybody
    Outage,
    /// Metrics are gone for some nodes, callers or autoscalers, or for everybody
    Partial,
    /// Something is wrong that hurts nobody yet, or worse
    Latent,
    /// It could not be told
    Unknown,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Time for which each scene is shown, in seconds
    #[arg(long, default_value = "15", value_name = "SECONDS", value_parser = seconds, env = "METRICS_SERVER_DOCTOR_INTERVAL")]
    pub interval: Duration,
    /// Scenes to walk through instead of all, by the verdict that they lead to, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STEP/CAUSE", value_parser = scene, env = "METRICS_SERVER_DOCTOR_SCENE")]
    pub scene: Vec<String>,
    /// Where to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// How to log.
    #[command(flatten)]
    pub log: Log,
    /// Where runbooks are.
    #[command(flatten)]
    pub runbooks: Runbooks,
    /// What is on the page of metrics.
    #[command(flatten)]
    pub page: MetricsPage,
}

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// Read a support bundle (a folder, or one file) instead of a cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"], env = "METRICS_SERVER_DOCTOR_FROM")]
    pub from: Option<PathBuf>,
    /// Largest file of a bundle that is read, in MiB; larger ones are named and skipped
    #[arg(
        long,
        default_value_t = bundle::LARGEST_FILE >> 20,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=65_536),
        env = "METRICS_SERVER_DOCTOR_LARGEST_FILE"
    )]
    pub largest_file: u64,
    /// Kubeconfig file; without it the pod's own ServiceAccount, else $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", env = "METRICS_SERVER_DOCTOR_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "METRICS_SERVER_DOCTOR_CONTEXT")]
    pub context: Option<String>,
    /// Data sources to disable, separated by commas; their checks become unknown
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LOOKS", env = "METRICS_SERVER_DOCTOR_WITHOUT")]
    pub without: Vec<Look>,
    /// Data sources to enable, separated by commas; each needs a permission of its own
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LOOKS", env = "METRICS_SERVER_DOCTOR_WITH")]
    pub with: Vec<ExtraLook>,
    /// Whether to dial metrics-server's endpoints directly: only from inside the pod network does the answer mean something
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "METRICS_SERVER_DOCTOR_DIAL")]
    pub dial: Dial,
    /// Run as a sidecar in metrics-server's own pod: tells on which ports something really listens there
    #[arg(long, env = "METRICS_SERVER_DOCTOR_SIDECAR")]
    pub sidecar: bool,
    /// Namespaces whose pods' metrics are asked for, separated by commas; metrics-server's own where none is named
    #[arg(long, value_delimiter = ',', value_name = "NAMESPACES", env = "METRICS_SERVER_DOCTOR_PROBE_NAMESPACES")]
    pub probe_namespaces: Vec<String>,
}

impl Source {
    /// The largest file of a bundle that is read, in bytes.
    pub fn largest_file(&self) -> u64 {
        self.largest_file << 20
    }

    /// What may be looked at.
    pub fn features(&self, in_cluster: bool) -> Features {
        let has = |look| !self.without.contains(&look);
        let dials = match self.dial {
            // A sidecar would only dial itself.
            Dial::Auto => in_cluster && !self.sidecar,
            Dial::Always => true,
            Dial::Never => false,
        };
        Features {
            rbac: has(Look::Rbac),
            aws_auth: has(Look::AwsAuth),
            authentication_config: has(Look::AuthenticationConfig),
            certificate_requests: has(Look::CertificateRequests),
            custom_resource_definitions: has(Look::CustomResourceDefinitions),
            events: has(Look::Events),
            nodes: has(Look::Nodes),
            network_policies: has(Look::NetworkPolicies),
            logs: has(Look::Logs),
            probes: has(Look::Probes),
            dials,
            access_reviews: self.with.contains(&ExtraLook::AccessReviews),
            sidecar: self.sidecar,
        }
    }
}

/// A look that can be left out, with the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Look {
    /// Roles and bindings
    Rbac,
    /// ConfigMap kube-system/aws-auth
    AwsAuth,
    /// ConfigMap kube-system/extension-apiserver-authentication
    AuthenticationConfig,
    /// CertificateSigningRequests
    CertificateRequests,
    /// CustomResourceDefinitions of the targets of blind autoscalers
    CustomResourceDefinitions,
    /// Events of metrics-server's pods
    Events,
    /// Nodes
    Nodes,
    /// NetworkPolicies of metrics-server's namespace
    NetworkPolicies,
    /// Logs of metrics-server's pods
    Logs,
    /// Calls of the metrics API
    Probes,
}

/// A look that is taken only where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExtraLook {
    /// SubjectAccessReviews about metrics-server's account: needs create on subjectaccessreviews
    AccessReviews,
}

/// Whether to dial metrics-server's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Dial {
    /// Only where the doctor runs as a pod of the cluster, and not as a sidecar
    #[default]
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

/// Where to listen.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Address and port of the HTTP server
    #[arg(
        long,
        default_value = "[::]:19102",
        value_name = "ADDRESS:PORT",
        env = "METRICS_SERVER_DOCTOR_LISTEN_ADDRESS"
    )]
    pub listen_address: SocketAddr,
    /// Certificate (PEM, with intermediates) to serve HTTPS with; without it HTTP is served. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key_file", env = "METRICS_SERVER_DOCTOR_TLS_CERTIFICATE_FILE")]
    pub tls_certificate_file: Option<PathBuf>,
    /// Private key (PEM) of that certificate. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_certificate_file", env = "METRICS_SERVER_DOCTOR_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// Authorities (PEM) of client certificates: all paths but /runbooks/, /livez and /readyz need one. Read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_certificate_file",
        env = "METRICS_SERVER_DOCTOR_TLS_CLIENT_CA_FILE"
    )]
    pub tls_client_ca_file: Option<PathBuf>,
}

impl Listen {
    /// Where the server's certificate is; `None` for plain HTTP.
    pub fn certificate_files(&self) -> Option<CertificateFiles> {
        Some(CertificateFiles {
            certificate: self.tls_certificate_file.clone()?,
            key: self.tls_key_file.clone()?,
            client_authorities: self.tls_client_ca_file.clone(),
        })
    }
}

/// How it is decided who may read the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Authentication {
    /// Everybody who reaches the port, or who has a client certificate where --tls-client-ca-file is given
    #[default]
    None,
    /// The API server decides: TokenReview of the bearer token (or the names in the client certificate), then
    /// SubjectAccessReview for `get` on the path
    TokenReview,
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct Log {
    /// What is logged: a level, or filters such as `metrics_server_doctor=debug`
    #[arg(long, default_value = "info", value_name = "FILTER", env = "METRICS_SERVER_DOCTOR_LOG_LEVEL")]
    pub log_level: String,
    /// Form of the log
    #[arg(long, value_enum, default_value_t, env = "METRICS_SERVER_DOCTOR_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// Where runbooks are.
#[derive(Debug, Clone, Args)]
pub struct Runbooks {
    /// Address where people reach the doctor, its path included: links to the runbooks that it serves begin with it
    #[arg(long, value_name = "URL", value_parser = external_url, env = "METRICS_SERVER_DOCTOR_EXTERNAL_URL")]
    pub external_url: Option<String>,
    /// Address or folder of a copy of docs/runbooks; links lead to its files instead of the doctor's own pages
    #[arg(long, value_name = "URL", env = "METRICS_SERVER_DOCTOR_RUNBOOK_URL")]
    pub runbook_url: Option<String>,
}

impl Runbooks {
    /// Where links lead.
    pub fn links(&self) -> Links {
        Links::new(self.external_url.clone(), self.runbook_url.clone())
    }
}

/// What is on the page of metrics.
#[derive(Debug, Clone, Args)]
pub struct MetricsPage {
    /// HorizontalPodAutoscalers of which /metrics has more than hpa_unknown_targets: target, conditions, cause
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", env = "METRICS_SERVER_DOCTOR_HPA_SERIES")]
    pub hpa_series: HpaSeries,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For people in a hurry: verdict, command, counts
    Brief,
    /// For programs; docs/report.schema.json describes it
    Json,
    /// For a ticket or a chat
    Markdown,
    /// For pipelines: a test case a check
    Junit,
}

/// Whether the report is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line an event
    #[default]
    Text,
    /// A JSON object an event
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_and_help_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_is_also_an_environment_variable_of_the_same_name() {
        let command = Arguments::command();
        for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()).chain([&command]) {
            let flags = subcommand.get_arguments().filter(|argument| !argument.is_positional());
            for flag in flags.filter(|flag| !["help", "version"].contains(&flag.get_id().as_str())) {
                let variable = format!(
                    "METRICS_SERVER_DOCTOR_{}",
                    flag.get_long().expect("a long flag").to_uppercase().replace('-', "_")
                );
                assert_eq!(flag.get_env().map(|name| name.to_string_lossy().into_owned()), Some(variable));
            }
        }
    }

    #[test]
    fn serve_is_the_default_and_takes_its_flags_without_being_named() {
        let arguments = Arguments::try_parse_from(["doctor", "--from", "bundle"]).expect("arguments");
        assert!(arguments.command.is_none() && arguments.serve.source.from.is_some());
    }

    #[test]
    fn endpoints_are_dialled_only_from_inside() {
        let dials = |words: &[&str], in_cluster| {
            let words = std::iter::once(&"doctor").chain(words);
            Arguments::try_parse_from(words).expect("arguments").serve.source.features(in_cluster).dials
        };
        assert!(dials(&[], true) && !dials(&[], false));
        assert!(dials(&["--dial=always"], false) && !dials(&["--dial", "never"], true));
        assert!(!dials(&["--sidecar"], true));
    }

    #[test]
    fn a_look_that_is_left_out_is_off() {
        let arguments = Arguments::try_parse_from(["doctor", "--without", "logs,aws-auth"]).expect("arguments");
        let features = arguments.serve.source.features(false);
        assert!(!features.logs && !features.aws_auth && features.nodes && features.probes);
    }
}
