//! The shipped alerts: read by Prometheus' and another parser, tried on series of the real page, and broken on purpose.

#[path = "alerts/cases.rs"]
mod cases;
#[path = "alerts/crash_loop.rs"]
mod crash_loop;
#[path = "alerts/doctor.rs"]
mod doctor;
#[path = "alerts/document.rs"]
mod document;
#[path = "alerting/told.rs"]
mod ends;
#[path = "alerts/hpa.rs"]
mod hpa;
#[path = "alerts/mixin.rs"]
mod mixin;
#[path = "alerts/mutations.rs"]
mod mutations;
#[path = "alerts/pipeline.rs"]
mod pipeline;
#[path = "alerts/recording.rs"]
mod recording;
#[path = "alerts/remedies.rs"]
mod remedies;
#[path = "alerts/rules.rs"]
mod rules;
#[path = "alerts/said.rs"]
mod said;
#[path = "alerts/scenes.rs"]
mod scenes;
#[path = "alerts/shipped.rs"]
mod shipped;
#[path = "alerts/timeline.rs"]
mod timeline;
#[path = "alerts/whole.rs"]
mod whole;

use std::{collections::BTreeSet, process::Command};

use metrics_server_doctor::{
    catalogue::{self, Cause},
    check::Impact,
    guide::Step,
};
use timeline::{Case, promtool, promtool_with, rule_files, run, tool};

fn hold(cases: &[Case]) {
    hold_with(&rule_files(std::path::Path::new(""), None), cases);
}

fn hold_with(files: &[std::path::PathBuf], cases: &[Case]) {
    let cases: Vec<_> = cases.iter().collect();
    if let Err(told) = promtool(files, &cases) {
        panic!("{told}");
    }
}

#[test]
fn promtool_reads_every_rule() {
    let files = rule_files(std::path::Path::new(""), None);
    run(Command::new(tool("promtool")).args(["check", "rules", "--lint=all", "--lint-fatal"]).args(files))
        .expect("valid");
}

#[test]
fn vmalert_reads_every_rule() {
    let files: Vec<_> =
        rule_files(std::path::Path::new(""), None).iter().map(|path| format!("-rule={}", path.display())).collect();
    run(Command::new(tool("vmalert")).arg("-dryRun").args(files)).expect("valid");
}

#[test]
fn every_alert_fires_in_time_resolves_and_is_silent_otherwise() {
    let failures: Vec<String> = mutations::tests_by_file()
        .iter()
        .filter_map(|(file, tests)| promtool_with(&[rules::files()[file].clone()], tests).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_cause_of_the_catalogue_leads_to_exactly_one_alert() {
    let cases: Vec<_> = catalogue::all()
        .iter()
        .flat_map(|entry| [Impact::Outage, Impact::Partial].map(|impact| (entry, impact)))
        // What an autoscaler lacks by itself hurts nobody else.
        .filter(|(entry, impact)| entry.step != Step::Hpa || entry.cause.is_symptom() || *impact == Impact::Partial)
        // Of another API than metrics-server's no autoscaler is named: `a finding without unknown targets` is its case.
        .filter(|(entry, _)| entry.cause != Cause::OtherMetricsApiUnavailable)
        .map(|(entry, impact)| cases::of_cause(entry, impact))
        .collect();
    assert!(cases.len() >= catalogue::all().len());
    // The catch-all knows no cause.
    let mut files = rule_files(std::path::Path::new(""), None);
    files.retain(|file| !file.ends_with("pipeline.yaml"));
    hold_with(&files, &cases);
}

#[test]
fn one_root_cause_is_named_however_many_symptoms_burn() {
    hold(&whole::of_demo());
    hold(&whole::of_symptoms());
}

#[test]
fn a_crash_loop_is_one_page() {
    hold(&crash_loop::of_loops());
}

#[test]
fn an_outage_that_does_not_stand_still_is_one_page() {
    hold(&crash_loop::of_changes());
}

#[test]
fn a_rollout_and_a_scale_to_zero_are_silent() {
    hold(&whole::of_changes());
}

#[test]
fn every_section_of_the_guide_has_an_alert_of_its_own() {
    let names = |step: Step| -> BTreeSet<String> {
        rules::alerts().into_iter().filter(|rule| rule.file == step.id()).map(|rule| rule.name).collect()
    };
    for step in Step::ALL {
        assert!(!names(step).is_empty(), "{step} has no alert");
        for other in Step::ALL.into_iter().filter(|other| *other != step) {
            assert!(names(step).is_disjoint(&names(other)), "{step} and {other} share an alert");
        }
    }
}
