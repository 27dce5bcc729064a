//! From fault to page: the real doctor, a real Prometheus with the shipped rules, a real Alertmanager with the shipped
//! inhibition, and a webhook. Each fault ends in exactly the notifications that it should, and in their resolution.
//!
//! `cargo test --test alerting [WORD…]` tries only the cases whose name has one of the words in it.

#[path = "alerting/cases.rs"]
mod cases;
#[path = "alerting/stack.rs"]
mod stack;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use stack::Stack;

type Case = (&'static str, fn(&mut Stack));

/// Those that leave metrics-server's pods alone come first.
const CASES: &[Case] = &[
    ("Service port wrong", cases::service_port),
    ("selector matches nothing", cases::selector),
    ("packets dropped", cases::dropped),
    ("a sidecar without request", cases::sidecar),
    ("a rollout and a scale to zero", cases::changes),
    ("kubelets answer 401", cases::kubelets_unauthorized),
    ("auth-reader missing", cases::auth_reader),
    ("rights of the doctor revoked", cases::rights_revoked),
    ("doctor killed", cases::doctor_killed),
    // The last, since what it raises stays for minutes.
    ("inhibition", cases::inhibition),
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
    let mut stack = match Stack::start(env!("CARGO_BIN_EXE_metrics-server-doctor").as_ref()) {
        Ok(stack) => stack,
        Err(error) => {
            eprintln!("the cluster or what watches it does not start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("cluster, doctor, Prometheus and Alertmanager run after {} s", begin.elapsed().as_secs());
    for (name, case) in CASES.iter().filter(|(name, _)| wanted(name)) {
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut stack)));
        let verb = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {verb} ({:.1} s)", begin.elapsed().as_secs_f64());
        if outcome.is_err() {
            println!("last lines of the doctor:\n{}", stack.doctor_log_end());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
