//! The doctor on a real control plane: each fault of the guide is made, has to be named, and is healed again.
//!
//! `cargo test --test cluster [WORD…]` tries only the cases whose name has one of the words in it.

// A file with its own `main` has its modules beside it.
#[path = "cluster/authentication.rs"]
mod authentication;
#[path = "cluster/autoscalers.rs"]
mod autoscalers;
#[path = "cluster/cluster.rs"]
mod cluster;
#[path = "cluster/network.rs"]
mod network;
#[path = "cluster/printer.rs"]
mod printer;
#[path = "cluster/registration.rs"]
mod registration;
#[path = "cluster/reports.rs"]
mod reports;
#[path = "cluster/rights.rs"]
mod rights;
#[path = "cluster/workload.rs"]
mod workload;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use cluster::Cluster;

/// A name, and what makes the fault, looks at the page and heals it.
type Case = (&'static str, fn(&Cluster));

/// Faults that leave the pods alone come first: a pod that is not Ready is blamed only when it had time to start.
const CASES: &[Case] = &[
    ("a healthy cluster is called healthy", registration::healthy),
    ("a real Prometheus scrapes the page", reports::prometheus),
    ("the API server decides who reads the page", authentication::token_review),
    ("check and check --from agree on a healthy cluster", reports::agree_when_healthy),
    ("APIService missing", registration::api_service_missing),
    ("Service missing", registration::service_missing),
    ("wrong Service port", registration::wrong_service_port),
    ("wrong targetPort, a number", registration::wrong_target_port),
    ("wrong targetPort, a name", registration::unknown_target_port_name),
    ("selector matches nothing", registration::selector_matches_nothing),
    ("HPA on pods with a sidecar without request", autoscalers::sidecar_without_request),
    ("HPA target missing", autoscalers::target_missing),
    ("two HPAs on one selector", autoscalers::two_on_one_selector),
    ("unknown targets as kubectl prints them", printer::agrees_with_kubectl),
    ("connection refused", network::refused),
    ("timeout", network::timeout),
    ("pod not Ready", workload::pod_not_ready),
    ("process dead", workload::process_dead),
    ("replicas 0", workload::replicas_zero),
    ("rights of the doctor revoked", rights::revoked_at_runtime),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    if std::env::args().any(|word| word == "--list") {
        for (name, _) in CASES {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if let Err(error) = testbed::isolation::enter() {
        eprintln!("no test on a real control plane is possible here: {error:#}");
        return ExitCode::FAILURE;
    }
    let begin = Instant::now();
    let cluster = match Cluster::start(env!("CARGO_BIN_EXE_metrics-server-doctor").as_ref()) {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("the cluster does not start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("the cluster is healthy after {} s", begin.elapsed().as_secs());
    let mut failed = Vec::new();
    for (name, case) in CASES.iter().filter(|(name, _)| wanted(name)) {
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&cluster)));
        let verb = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {verb} ({:.1} s)", begin.elapsed().as_secs_f64());
        if outcome.is_err() {
            failed.push(*name);
            if let Err(error) = cluster.reset() {
                println!("the cluster does not get well again, so the rest is left out: {error:#}");
                break;
            }
        }
    }
    println!("slowest page: {:.1} s after the API server showed it", cluster.slowest().as_secs_f64());
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}\nlast lines of the doctor:\n{}", failed.join(", "), cluster.doctor_log_end());
    ExitCode::FAILURE
}
