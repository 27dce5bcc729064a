//! The page of `/metrics/resource`.

use std::{collections::BTreeMap, fmt::Write};

use jiff::Timestamp;

use super::{MetricsFault, Names};

/// Seconds of processor time that every container is said to use in a second.
const CONTAINER_CPU: f64 = 0.1;
const CONTAINER_MEMORY: u64 = 50 << 20;

#[derive(Debug)]
pub(super) struct RunningPod {
    pub(super) node: String,
    pub(super) containers: Vec<String>,
    pub(super) started: Timestamp,
}

struct Container<'p> {
    labels: String,
    pod: &'p str,
    started: Timestamp,
}

/// The page of one node, with samples of this very moment.
pub(super) fn resource_metrics(pods: &BTreeMap<Names, RunningPod>, node: &str, faults: &[MetricsFault]) -> String {
    let frozen = faults.iter().find_map(|fault| if let MetricsFault::Frozen(at) = fault { Some(*at) } else { None });
    let now = frozen.unwrap_or_else(Timestamp::now);
    let at = now.as_millisecond();
    let is_empty = |pod: &str| {
        faults
            .iter()
            .any(|fault| matches!(fault, MetricsFault::EmptyContainers(begin) if pod.starts_with(begin.as_str())))
    };
    let containers: Vec<Container<'_>> = pods
        .iter()
        .filter(|(_, pod)| pod.node == node)
        .flat_map(|((namespace, name), pod)| {
            pod.containers.iter().map(move |container| Container {
                labels: format!(r#"{{container="{container}",namespace="{namespace}",pod="{name}"}}"#),
                pod: name,
                started: pod.started,
            })
        })
        .collect();
    let mut page = Page(String::new());
    page.family("container_cpu_usage_seconds_total", "counter", &containers, |container| {
        let age = now.duration_since(container.started).as_secs_f64();
        format!("{:.6} {at}", (age + 1.0) * CONTAINER_CPU)
    });
    page.family("container_memory_working_set_bytes", "gauge", &containers, |container| {
        format!("{} {at}", if is_empty(container.pod) { 0 } else { CONTAINER_MEMORY })
    });
    page.family("container_start_time_seconds", "gauge", &containers, |container| {
        container.started.as_second().to_string()
    });
    if !faults.iter().any(|fault| matches!(fault, MetricsFault::WithoutNode)) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        let uptime = at as f64 / 1000.0 - 1_700_000_000.0;
        page.node("node_cpu_usage_seconds_total", "counter", &format!("{:.6} {at}", uptime * 0.2));
        page.node("node_memory_working_set_bytes", "gauge", &format!("{} {at}", 1_u64 << 30));
    }
    page.0
}

/// Writing to a String does not fail.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} [STABLE]\n# TYPE {name} {kind}");
    }

    fn family(
        &mut self,
        name: &str,
        kind: &str,
        containers: &[Container<'_>],
        value: impl Fn(&Container<'_>) -> String,
    ) {
        self.head(name, kind);
        for container in containers {
            let _ = writeln!(self.0, "{name}{} {}", container.labels, value(container));
        }
    }

    fn node(&mut self, name: &str, kind: &str, value: &str) {
        self.head(name, kind);
        let _ = writeln!(self.0, "{name} {value}");
    }
}
