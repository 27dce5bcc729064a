use serde_json::json;

use super::*;
use crate::{
    render::visible::tests::HOSTILE,
    report::{Links, Report},
    snapshot::{Collection, Snapshot, horizontal_pod_autoscaler::from_json},
    testing::{at, healthy, without_service},
};

fn plain(snapshot: &Snapshot) -> String {
    text(&Report::new(snapshot), &Links::Own, Manner::default())
}

/// So many autoscalers of `shop/web`, whose pods have no request for memory.
fn without_request(count: usize) -> Snapshot {
    let autoscaler = |number: usize| {
        from_json(json!({
            "metadata": {"name": format!("web-{number:04}"), "namespace": "shop", "creationTimestamp": at(-86_400)},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": {"currentReplicas": 1, "desiredReplicas": 1,
                "conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric",
                    "message": "the HPA was unable to compute the replica count: failed to get memory utilization: missing request for memory in container web of Pod web-1",
                    "lastTransitionTime": at(-3_600)}]}}))
        .expect("an autoscaler")
    };
    Snapshot { autoscalers: Collection::complete((0..count).map(autoscaler)), ..healthy() }
}

#[test]
fn the_verdict_comes_first_then_the_way_the_evidence_one_command_and_the_counts() {
    let text = plain(&without_service());
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in\n{text}"));
    assert_eq!(place("FAULT: "), 0);
    assert!(
        place("other_reasons/service_not_found, outage, since ") < place("API server ─▶ APIService ✗ Service missing")
    );
    assert!(place("✗ Service missing") < place("Evidence ("));
    assert!(place("Evidence (") < place("Fix:"));
    assert!(place("Fix:") < place("Runbook: metrics-server-doctor runbook other_reasons/service_not_found"));
    assert!(place("Runbook: ") < place(" checks passed, "));
    assert!(!text.contains("[pass]") && text.lines().count() < 40, "{text}");
}

#[test]
fn one_command_stands_on_a_line_of_its_own() {
    let text = plain(&without_request(1));
    let command = "\n    kubectl set resources deployment web -n shop -c web --requests=memory=128Mi\n";
    let place = text.find(command).unwrap_or_else(|| panic!("{text}"));
    assert!(text.find("Fix:").is_some_and(|fix| fix < place), "{text}");
    assert!(text.starts_with("PARTIAL FAULT: HorizontalPodAutoscaler shop/web-0000: "), "{text}");
}

#[test]
fn what_passed_is_listed_only_where_it_is_asked_for() {
    let report = Report::new(&healthy());
    let short = text(&report, &Links::Own, Manner::default());
    assert!(short.contains(" checks passed, ") && short.contains("(--verbose lists them)"), "{short}");
    assert!(short.lines().count() < 8, "{short}");
    let long = full(&report);
    for answer in &report.answers {
        assert!(long.contains(&format!("{:<8} {:<22} ", answer.status.label(), answer.check)), "{long}");
    }
}

#[test]
fn healthy_and_could_not_tell_do_not_look_alike() {
    assert!(plain(&healthy()).starts_with("HEALTHY: "));
    assert!(plain(&Snapshot::default()).starts_with("COULD NOT TELL: "));
}

#[test]
fn autoscalers_of_one_cause_are_one_entry_with_one_remedy_and_few_names() {
    let text = plain(&without_request(2_000));
    assert!(text.contains("The same cause in 1999 more autoscalers:"), "{text}");
    assert!(text.contains("shop/web-0001, shop/web-0002") && text.contains(" and 1989 more"), "{text}");
    assert_eq!(text.matches("Runbook: ").count(), 1, "{text}");
    assert!(text.contains("kubelets 2/2 ✗ autoscalers 0/2000"), "{text}");
    assert!(text.lines().count() < 30, "{text}");
    // Beside another fault they are one entry of what else was found.
    let snapshot = Snapshot {
        api_services: without_service().api_services,
        services: Collection::complete([]),
        ..without_request(3)
    };
    let text = plain(&snapshot);
    assert!(text.starts_with("FAULT: ") && text.contains("hpa/missing_request: 3 autoscalers: "), "{text}");
}

#[test]
fn a_brief_report_is_a_few_lines() {
    let report = Report::new(&without_request(1));
    let text = brief(&report, &Links::Own, Terminal::default());
    assert!(
        text.starts_with("PARTIAL FAULT: ") && text.contains("\n  kubectl ") && text.lines().count() <= 4,
        "{text}"
    );
    assert!(brief(&Report::new(&healthy()), &Links::Own, Terminal::default()).starts_with("HEALTHY: "));
}

#[test]
fn names_of_a_cluster_cannot_act_on_a_terminal_in_any_form() {
    let mut snapshot = without_request(1);
    for mut autoscaler in std::mem::take(&mut snapshot.autoscalers).iter().cloned() {
        autoscaler.metadata.name = HOSTILE.to_owned();
        autoscaler.status.conditions[0].message.push_str(HOSTILE);
        snapshot.autoscalers = Collection::complete([autoscaler]);
    }
    snapshot.notices = vec![HOSTILE.to_owned()];
    let report = Report::new(&snapshot);
    let links = Links::Own;
    for (form, shown) in [
        ("text", text(&report, &links, Manner::default())),
        ("verbose", full(&report)),
        ("brief", brief(&report, &links, Terminal::default())),
        ("markdown", crate::render::markdown::markdown(&report, &links)),
        ("junit", crate::render::junit::junit(&report, &links, &crate::report::Gate::default())),
        ("page", crate::render::html::html(&report, report.observed_at, &links)),
        (
            "json",
            crate::render::visible::visible_json(&serde_json::to_string_pretty(&report.to_json(&links)).expect("JSON"))
                .into_owned(),
        ),
    ] {
        assert!(shown.contains("web"), "{form}: {shown}");
        let acting = shown.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(acting, None, "{form}: {shown:?}");
        assert!(!shown.contains('\u{202e}'), "{form}: {shown:?}");
    }
}

#[test]
fn the_json_of_an_outage_with_two_thousand_blind_autoscalers_stays_small_and_says_what_it_leaves_out() {
    let gone = without_service();
    let outage = Snapshot { api_services: gone.api_services, services: gone.services, ..without_request(2_000) };
    for snapshot in [without_request(2_000), outage] {
        let report = Report::new(&snapshot);
        let json = serde_json::to_string_pretty(&report.to_json(&Links::Own)).expect("JSON");
        assert!(json.len() < 100_000, "{} bytes", json.len());
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let autoscalers = &json["autoscalers"];
        assert_eq!((&autoscalers["total"], &autoscalers["blind"]), (&json!(2_000), &json!(2_000)));
        assert_eq!(autoscalers["byCause"]["missing_request"], 2_000);
        assert_eq!(autoscalers["listLimit"], autoscalers["list"].as_array().expect("a list").len());
        let told = json["findings"].as_array().expect("findings").len();
        assert!(told < 20 && json["findingsTotal"].as_u64() >= Some(2_000), "{told} of {}", json["findingsTotal"]);
        assert_eq!(json["doctor"]["version"], crate::version::VERSION);
        assert_eq!(json["metricsServer"]["version"], "0.9.0");
    }
}
