//! The beds: clusters side by side, each in namespaces of its own with the rows that share it.

use testbed::{METRICS_SERVER_MANIFEST, Plan, components};

use crate::{
    audit,
    matrix::{Fault, Kind, Row},
    rows::{
        api_servers, authentication, autoscalers, certificates, containers, crash_loops, kubelets, network, packagings,
        pairs, printer, registration, reports, rights, targets,
    },
};

/// One cluster and what is tried on it, in this order.
pub(crate) struct Bed {
    /// Also the argument that tries this bed only.
    pub(crate) name: &'static str,
    rows: &'static [&'static [Row]],
    plan: fn() -> Plan,
}

/// All of them, the longest first. Rows that need pods of some age stand at the end of theirs.
pub(crate) const BEDS: &[Bed] = &[
    Bed { name: "samples", rows: &[kubelets::SAMPLES], plan: Plan::default },
    Bed { name: "pairs", rows: &[pairs::ON_THE_WAY], plan: recreating },
    Bed { name: "more pairs", rows: &[pairs::BESIDE_THE_WAY], plan: recreating },
    Bed { name: "long crash loop", rows: &[crash_loops::LONG], plan: recreating },
    Bed { name: "crash loops", rows: &[crash_loops::ROWS], plan: recreating },
    Bed { name: "autoscalers", rows: &[printer::ROWS, autoscalers::ROWS, targets::ROWS], plan: Plan::default },
    Bed { name: "API servers", rows: &[api_servers::ROWS], plan: Plan::default },
    Bed { name: "network", rows: &[network::ROWS], plan: Plan::default },
    Bed { name: "packagings", rows: &[packagings::PACKAGINGS], plan: Plan::default },
    Bed { name: "rights", rows: &[rights::ROWS, audit::ROWS], plan: Plan::default },
    Bed { name: "pods", rows: &[containers::PODS], plan: recreating },
    Bed { name: "way to kubelets", rows: &[kubelets::WAY], plan: Plan::default },
    Bed { name: "answers of kubelets", rows: &[kubelets::ANSWERS, certificates::ROWS], plan: Plan::default },
    Bed { name: "starts", rows: &[containers::STARTS], plan: recreating },
    Bed { name: "registration", rows: &[registration::ROWS, reports::ROWS, authentication::ROWS], plan: Plan::default },
    Bed { name: "older", rows: &[packagings::OLDER], plan: older },
];

impl Bed {
    /// Its rows, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().copied().flatten()
    }

    /// What its cluster is made of.
    pub(crate) fn plan(&self) -> Plan {
        (self.plan)()
    }
}

/// The fault of the row of that name.
pub(crate) fn fault(name: &str) -> Option<&'static Fault> {
    BEDS.iter().flat_map(Bed::rows).filter(|row| row.name == name).find_map(|row| match &row.kind {
        Kind::Fault(fault) => Some(fault),
        _ => None,
    })
}

/// With a Deployment that ends its pod before the next starts, so that a broken one is not covered by the old.
fn recreating() -> Plan {
    let strategy = "strategy:\n    rollingUpdate: {maxUnavailable: 0}";
    let manifest = METRICS_SERVER_MANIFEST.replace(strategy, "strategy: {type: Recreate}");
    Plan { metrics_server: manifest, ..Plan::default() }
}

/// The oldest programs that can be built.
fn older() -> Plan {
    let manifest = METRICS_SERVER_MANIFEST.replace("v0.9.0", "v0.7.2").replace("      appProtocol: https\n", "");
    Plan { kubernetes: components::OLDER_KUBERNETES, metrics_server: manifest }
}
