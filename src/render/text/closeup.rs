//! One autoscaler explained: all that it depends on, in the order in which the controller asks for it.

use super::{
    page::{Manner, Page},
    sheet::{Sheet, Terminal, Tone},
    words::since,
};
use crate::{
    facts::{
        Facts,
        autoscalers::{Autoscaler, Closeup, PodCloseup, Sight},
    },
    report::{Links, Report},
    snapshot::{ConditionStatus, Named, Observed},
};

/// Pods that are shown.
const PODS_SHOWN: usize = 20;

/// What is known of the autoscaler, with the finding of `report` about it.
pub fn closeup<'s>(
    facts: &Facts<'s>,
    autoscaler: &Autoscaler<'s>,
    report: &Report,
    links: &Links,
    terminal: Terminal,
) -> String {
    let closeup = Closeup::of(facts, autoscaler);
    let name = format!("HorizontalPodAutoscaler {}/{}", closeup.object.namespace(), closeup.object.name());
    let findings = &report.judgement.findings;
    let held_back = report.judgement.held_back.iter().map(|consequence| &consequence.finding);
    let own = findings.iter().chain(held_back).find(|finding| {
        finding.object.kind == "HorizontalPodAutoscaler"
            && finding.object.namespace == closeup.object.namespace()
            && finding.object.name == closeup.object.name()
    });
    let mut page = Page::new(report, links, Manner { terminal, verbose: false });
    let (tone, heading) = match &autoscaler.sight {
        Sight::Sees => (Tone::Good, format!("{name} has a value for each of its metrics.")),
        Sight::ScaledToZero => (Tone::Good, format!("{name} is off: its target is scaled to zero.")),
        Sight::OutsideLimits => (Tone::Good, format!("{name} first brings its target within its limits of replicas.")),
        Sight::Starting { why, until, .. } => (
            Tone::Doubt,
            format!("{name}: too early to tell: {why}. Look again after {}.", until.strftime("%H:%M:%S UTC")),
        ),
        Sight::Untold => (Tone::Doubt, format!("{name}: its status was not seen.")),
        Sight::Blind(blind) => {
            let cause = blind.cause();
            let why = own.map_or_else(
                || format!("{name} is blind ({}/{}): {}", cause.step(), cause.id(), cause.entry().title),
                |finding| finding.summary.clone(),
            );
            (Tone::Bad, why)
        }
    };
    page.sheet.line(tone, 0, &heading);
    page.sheet.blank();
    write_chain(&mut page.sheet, &closeup);
    write_pods(&mut page.sheet, &closeup);
    page.sheet.line(Tone::Heading, 0, "What the controller says:");
    for condition in &closeup.object.status.conditions {
        let since = condition
            .last_transition_time
            .map_or(String::new(), |moment| format!(", {}", since(moment, report.observed_at)));
        let line = format!(
            "{} {}: {}{since}: {}",
            condition.kind,
            state(condition.status),
            condition.reason,
            condition.message
        );
        // Of this one condition True is the bad news.
        let fine = (condition.status == ConditionStatus::True) != (condition.kind == "ScalingLimited");
        page.sheet.line(if fine { Tone::Plain } else { Tone::Doubt }, 2, line.trim_end_matches([' ', ':']));
    }
    if closeup.object.status.conditions.is_empty() {
        page.sheet.line(Tone::Plain, 2, "nothing yet");
    }
    if let Sight::Blind(blind) = &autoscaler.sight {
        page.sheet.blank();
        if let Some(finding) = own {
            page.sheet.line(Tone::Heading, 0, &format!("Fix ({}/{}):", finding.cause.step(), finding.cause.id()));
            page.write_remedy(finding, 2);
        } else {
            page.sheet.line(Tone::Heading, 0, "Caused by what is wrong for all:");
            page.sheet.line(Tone::Plain, 2, &report.summary());
            match findings.first() {
                Some(lead) if lead.candidates.is_empty() => page.write_remedy(lead, 2),
                _ => page.sheet.line(Tone::Faint, 2, &format!("Runbook: {}", links.how_to_read(blind.cause()))),
            }
        }
    }
    page.sheet.finish()
}

/// As kubectl writes it.
const fn state(status: ConditionStatus) -> &'static str {
    match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    }
}

fn write_chain(sheet: &mut Sheet, closeup: &Closeup<'_>) {
    let target = &closeup.object.spec.scale_target_ref;
    let seen = match &closeup.target {
        Observed::Present(Some(1)) => "1 replica".to_owned(),
        Observed::Present(Some(replicas)) => format!("{replicas} replicas"),
        Observed::Present(None) => "there".to_owned(),
        Observed::Absent => "does not exist".to_owned(),
        Observed::NotSeen(reason) => format!("not seen: {reason}"),
    };
    let tone = if closeup.target.is_absent() { Tone::Bad } else { Tone::Plain };
    sheet.line(tone, 0, &format!("Target    {} {} ({}): {seen}", target.kind, target.name, target.api_version));
    let (tone, selector) = match closeup.selector.as_deref() {
        Some("") => (Tone::Bad, "empty"),
        Some(selector) => (Tone::Plain, selector),
        None => (Tone::Plain, "not seen"),
    };
    sheet.line(tone, 0, &format!("Selector  {selector}"));
    for metric in &closeup.metrics {
        let of = metric.container.map_or(String::new(), |container| format!(" of container {container}"));
        let request = if metric.needs_request { ", in percent of the requests" } else { "" };
        let (tone, value) = if metric.has_value { (Tone::Plain, "has a value") } else { (Tone::Bad, "<unknown>") };
        sheet.line(tone, 0, &format!("Metric    {} {}{of}{request}: {value}", metric.kind, metric.name));
    }
}

fn write_pods(sheet: &mut Sheet, closeup: &Closeup<'_>) {
    let Some(pods) = &closeup.pods else {
        sheet.line(Tone::Plain, 0, "Pods      not seen");
        return sheet.blank();
    };
    let tone = if pods.is_empty() { Tone::Bad } else { Tone::Plain };
    sheet.line(tone, 0, &format!("Pods      {} under the selector", pods.len()));
    for pod in pods.iter().take(PODS_SHOWN) {
        let (tone, line) = pod_line(pod);
        sheet.line(tone, 2, &line);
    }
    if let Some(more) = pods.len().checked_sub(PODS_SHOWN).filter(|more| *more > 0) {
        sheet.line(Tone::Faint, 2, &format!("… and {more} more"));
    }
    sheet.blank();
}

fn pod_line(pod: &PodCloseup<'_>) -> (Tone, String) {
    let ready = if pod.pod.is_ready() { "Ready" } else { "not Ready" };
    let mut bad = !pod.pod.is_ready();
    let mut containers = Vec::new();
    for container in &pod.containers {
        let requests = container.requests.iter().map(|(resource, request)| {
            if let Some(request) = request {
                format!("{resource} {request}")
            } else {
                bad = true;
                format!("no {resource} request")
            }
        });
        let requests: Vec<String> = requests.collect();
        let requests = if requests.is_empty() { String::new() } else { format!(": {}", requests.join(", ")) };
        containers.push(format!("{}{requests}", container.name));
    }
    let sample = match &pod.sample {
        Observed::Present(_) => "has a sample".to_owned(),
        Observed::Absent => {
            bad = true;
            "no sample".to_owned()
        }
        Observed::NotSeen(reason) => format!("sample not seen ({reason})"),
    };
    let tone = if bad { Tone::Bad } else { Tone::Plain };
    (tone, format!("{}: {ready}; {}; {sample}", pod.pod.name(), containers.join("; ")))
}
