//! What alerts say: their annotations with labels and value filled in.

use metrics_server_doctor::catalogue::Entry;

use crate::{
    rules::{Labels, Rule},
    timeline::CLUSTER,
};

/// The annotations of a rule whose texts hold nothing but labels and the value.
pub(crate) fn told(rule: &Rule, series: &[(&str, &str)], value: &str) -> Labels {
    rule.annotations.iter().map(|(name, text)| (name.clone(), fill(text, series, value))).collect()
}

/// With labels and value filled in, and without the count of blind autoscalers, which tells nothing where there is none.
fn fill(text: &str, series: &[(&str, &str)], value: &str) -> String {
    let count = text.find(" {{- with printf `count(").map(|at| (at, text[at..].find("{{- end }}").expect("an end")));
    let text = count.map_or_else(
        || text.to_owned(),
        |(at, length)| [&text[..at], &text[at + length + "{{- end }}".len()..]].concat(),
    );
    let text = text.replace("{{ $value }}", value);
    let labels = [("cluster", CLUSTER)];
    series.iter().chain(&labels).fold(text, |text, (label, value)| {
        let filled = text.replace(&format!("{{{{ $labels.{label} }}}}"), value);
        filled.replace(&format!("{{{{ $labels.{label} | urlquery }}}}"), value)
    })
}

/// What a section's alert says in cluster [`CLUSTER`]: of one object, seen at the sample's Service where it is `named`, and of
/// so many blind autoscalers.
pub(crate) fn of_section(rule: &Rule, entry: &Entry, named: bool, blind: usize) -> Labels {
    let series = [("step", entry.step.id()), ("cause", entry.id)];
    let mut told = told(rule, &series, "1");
    let head = format!("{} (step {} of the guide)", entry.id, entry.step);
    let blind = if blind > 0 { format!(" HorizontalPodAutoscalers that are blind: {blind}.") } else { String::new() };
    let description = if rule.severity() == "critical" {
        let seen = if named { ", seen at Service kube-system/metrics-server" } else { "" };
        format!(
            "{head}{seen}: kubectl top and autoscalers on CPU and memory do not work.{blind} The report (/api/v1/report) names the object and what was read."
        )
    } else {
        let seen = if named { "; seen at Service kube-system/metrics-server" } else { "" };
        format!(
            "{head} on objects: 1{seen}. Some nodes, pods, callers or autoscalers get no metrics.{blind} The report (/api/v1/report) names the objects and what was read."
        )
    };
    told.insert("description".to_owned(), description);
    told.insert("remedy".to_owned(), entry.remedy.to_owned());
    assert!(told.values().all(|text| !text.contains("{{ ")), "{told:?}");
    told
}

/// What is said of one autoscaler, by `namespace/name`, or of one that has no unknown target.
pub(crate) fn of_autoscaler(rule: &Rule, entry: &Entry, object: Option<&str>) -> Labels {
    let (namespace, _) = object.and_then(|object| object.split_once('/')).unwrap_or_default();
    let mut told = told(rule, &[("cause", entry.id), ("namespace", namespace)], "1");
    let who = object.map_or_else(
        || "HorizontalPodAutoscalers (1) do".to_owned(),
        |object| format!("HorizontalPodAutoscaler {object} does"),
    );
    let description = format!(
        "{who} not scale: {}. kubectl describe hpa tells the controller's words, the report (/api/v1/report) what was read.",
        entry.id
    );
    told.insert("description".to_owned(), description);
    told.insert("remedy".to_owned(), entry.remedy.to_owned());
    assert!(told.values().all(|text| !text.contains("{{ ")), "{told:?}");
    told
}
