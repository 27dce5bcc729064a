//! From fault to page: the real doctor, a real Prometheus with the shipped rules, a real Alertmanager with the shipped
//! inhibition, and a webhook. Each fault ends in exactly the notifications that it should, and in their resolution. What
//! Prometheus has scraped there is what the queries of the dashboards are asked of.
//!
//! `cargo test --test alerting [WORD…]` tries only the cases whose name has one of the words in it; `TESTBED_PARALLEL` says
//! how many clusters run side by side (one more than twice the processors).

#[path = "alerting/cases.rs"]
mod cases;
#[path = "alerting/dashboards.rs"]
mod dashboards;
#[path = "alerting/stack.rs"]
mod stack;
#[path = "alerting/told.rs"]
mod told;

use std::process::ExitCode;

use stack::Stack;
use testbed::cases::{Group, Program};

/// Each on a cluster of its own, the longest first; in each, those that leave metrics-server's pods alone come first.
const GROUPS: &[Group<Stack>] = &[
    Group {
        name: "autoscaler",
        start: Stack::start,
        cases: &[(told::SIDECAR.case, cases::sidecar), (told::RIGHTS.case, cases::rights_revoked)],
    },
    Group {
        name: "changes",
        start: Stack::start,
        cases: &[
            ("dashboards when all is well", dashboards::when_all_is_well),
            ("a rollout and a scale to zero", cases::changes),
        ],
    },
    Group {
        name: "pods",
        start: Stack::start,
        cases: &[
            (told::KUBELETS.case, cases::kubelets_unauthorized),
            (told::AUTH_READER.case, cases::auth_reader),
            (told::KILLED.case, cases::doctor_killed),
        ],
    },
    Group {
        name: "service",
        start: Stack::start,
        cases: &[
            (told::SERVICE_PORT.case, cases::service_port),
            (told::SELECTOR.case, cases::selector),
            (told::DROPPED.case, cases::dropped),
            // The last, since what it raises stays for minutes.
            ("inhibition", cases::inhibition),
        ],
    },
];

fn main() -> ExitCode {
    Program { groups: GROUPS, tries: 2, logs: concat!(env!("CARGO_TARGET_TMPDIR"), "/alerting") }.main()
}
