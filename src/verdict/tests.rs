use super::*;
use crate::{
    check::{Evidence, Status},
    guide::Step,
    snapshot::{NotSeen, ObjectReference},
};

fn pass(step: Step, check: &'static str) -> Answer {
    Answer {
        step,
        check,
        status: Status::Pass,
        summary: "fine".to_owned(),
        evidence: Vec::new(),
        findings: Vec::new(),
        rulings: Vec::new(),
        not_seen: None,
        settling_until: None,
        settle: None,
        suspected: Vec::new(),
        witness: None,
    }
}

fn unknown(step: Step, check: &'static str, reason: NotSeen) -> Answer {
    Answer { status: Status::Unknown, not_seen: Some(reason), ..pass(step, check) }
}

fn fail(step: Step, check: &'static str, finding: Finding) -> Answer {
    let ruling = (finding.cause, Ruling::Confirmed(Box::new(finding.clone())));
    Answer { status: Status::Fail, findings: vec![finding], rulings: vec![ruling], ..pass(step, check) }
}

fn object(name: &str) -> ObjectReference {
    ObjectReference::new("Service", "kube-system", name)
}

fn finding(cause: Cause) -> Finding {
    Finding::outage(cause, object("metrics-server"), "broken")
}

fn healthy() -> Vec<Answer> {
    let mut answers = vec![
        pass(Step::Apiservice, "available"),
        pass(Step::OtherReasons, "service"),
        pass(Step::OtherReasons, "endpoints"),
        pass(Step::Retrieve, "nodes"),
        pass(Step::Retrieve, "pods"),
        pass(Step::Retrieve, "coverage"),
        pass(Step::Retrieve, "freshness"),
        pass(Step::Hpa, "targets"),
    ];
    answers[3].witness = Some(Evidence::from("3 rows"));
    answers
}

fn name(answers: &[Answer]) -> VerdictName {
    judge(answers).verdict.name()
}

#[test]
fn nothing_wrong_and_all_seen_is_healthy() {
    assert_eq!(name(&healthy()), VerdictName::Healthy);
}

#[test]
fn without_a_caller_that_got_samples_nothing_is_healthy() {
    let mut answers = healthy();
    answers[3].witness = None;
    let judgement = judge(&answers);
    let Verdict::Undetermined(undetermined) = judgement.verdict else { panic!("{:?}", judgement.verdict) };
    assert!(!undetermined.broken);
    assert!(undetermined.discriminators[0].contains("top-nodes.txt"), "{undetermined:?}");
}

#[test]
fn a_required_look_that_failed_forbids_health_and_one_that_is_no_part_of_this_run_does_not() {
    for index in 0..healthy().len() {
        for (reason, verdict) in [
            (NotSeen::Forbidden { verb: "list", resource: "nodes" }, VerdictName::Undetermined),
            (NotSeen::NotSynced, VerdictName::Undetermined),
            (NotSeen::Unreachable("refused".to_owned()), VerdictName::Undetermined),
            (NotSeen::TooEarly("starting".to_owned()), VerdictName::Undetermined),
            (NotSeen::Defect, VerdictName::Undetermined),
            (NotSeen::NotLooked, VerdictName::Healthy),
            (NotSeen::NotInBundle("it"), VerdictName::Healthy),
        ] {
            let mut answers = healthy();
            let old = &answers[index];
            answers[index] = Answer { witness: old.witness.clone(), ..unknown(old.step, old.check, reason.clone()) };
            assert_eq!(name(&answers), verdict, "{} {reason:?}", answers[index].check);
        }
    }
    assert_eq!(name(&[]), VerdictName::Undetermined);
}

#[test]
fn what_the_table_explains_is_held_back_with_its_cause() {
    let mut answers = healthy();
    answers[0] = fail(Step::Apiservice, "available", finding(Cause::ApiServiceUnavailable));
    answers[2] = fail(Step::OtherReasons, "endpoints", finding(Cause::SelectorMatchesNothing));
    answers[7] = fail(Step::Hpa, "targets", finding(Cause::MetricsApiDown));
    let judgement = judge(&answers);
    assert_eq!(judgement.verdict, Verdict::Fault(Cause::SelectorMatchesNothing));
    assert_eq!(judgement.findings.len(), 1);
    assert!(judgement.held_back.iter().all(|held| held.of == Cause::SelectorMatchesNothing));
    assert_eq!(judgement.held_back.len(), 2);
}

#[test]
fn independent_faults_both_stand_and_the_upstream_one_leads() {
    let answers = [
        fail(Step::Forbidden, "aws_auth", finding(Cause::AwsAuthUsernameMissing)),
        fail(Step::OtherReasons, "service_port", finding(Cause::ServicePortMismatch)),
    ];
    let judgement = judge(&answers);
    assert_eq!(judgement.verdict, Verdict::Fault(Cause::ServicePortMismatch));
    assert_eq!((judgement.findings.len(), judgement.held_back.len()), (2, 0));
}

#[test]
fn a_lighter_finding_explains_no_heavier_one() {
    let answers = [
        fail(Step::Logs, "lines", finding(Cause::KubeletTimeout).weighing(Impact::Partial)),
        fail(Step::Apiservice, "available", finding(Cause::ApiServiceUnavailable)),
    ];
    assert_eq!(judge(&answers).findings.len(), 2);
}

#[test]
fn several_candidates_are_undetermined_and_named() {
    let candidates = [Cause::NothingListens, Cause::TargetPortMismatch];
    let answers = [fail(Step::Apiservice, "available", finding(Cause::ApiServiceUnavailable).candidates(candidates))];
    let judgement = judge(&answers);
    assert_eq!(judgement.verdict.name(), VerdictName::Undetermined);
    assert_eq!(judgement.verdict.candidates(), candidates);
}

#[test]
fn what_a_check_excludes_is_no_candidate_and_the_last_one_left_is_the_verdict() {
    let candidates = [Cause::NothingListens, Cause::TargetPortMismatch];
    let ports = Answer {
        rulings: vec![(Cause::TargetPortMismatch, Ruling::Excluded(Evidence::from("equal")))],
        ..pass(Step::ConnectionRefused, "port_chain")
    };
    let answers =
        [fail(Step::Apiservice, "available", finding(Cause::ApiServiceUnavailable).candidates(candidates)), ports];
    let judgement = judge(&answers);
    assert_eq!(judgement.verdict, Verdict::Fault(Cause::NothingListens));
    assert_eq!(judgement.findings[0].cause, Cause::NothingListens);
    assert_eq!(judgement.findings[0].remedy(), finding(Cause::NothingListens).remedy());
}

#[test]
fn candidates_fit_every_symptom_that_is_seen() {
    let answers = [
        fail(
            Step::Apiservice,
            "available",
            finding(Cause::ApiServiceUnavailable).candidates([Cause::NothingListens, Cause::ProxyInterferes]),
        ),
        fail(
            Step::Retrieve,
            "nodes",
            finding(Cause::MetricsApiFailing).candidates([Cause::ProxyInterferes, Cause::ServiceNotFound]),
        ),
    ];
    assert_eq!(judge(&answers).verdict, Verdict::Fault(Cause::ProxyInterferes));
}

#[test]
fn to_settle_it_names_only_what_tells_the_candidates_apart() {
    let open = |cause: Cause, check: &'static str, settle: &str| Answer {
        rulings: vec![(cause, Ruling::Open(NotSeen::NotLooked))],
        settle: Some(settle.to_owned()),
        ..unknown(Step::OtherReasons, check, NotSeen::NotLooked)
    };
    let answers = [
        fail(
            Step::Apiservice,
            "available",
            finding(Cause::ApiServiceUnavailable).candidates([Cause::ServiceNotFound, Cause::ReplicasZero]),
        ),
        open(Cause::ServiceNotFound, "service", "add services"),
        open(Cause::AwsAuthUnparsable, "aws_auth", "add configmaps"),
    ];
    let Verdict::Undetermined(undetermined) = judge(&answers).verdict else { panic!("determined") };
    assert!(undetermined.broken);
    assert_eq!(undetermined.discriminators, ["add services"]);
}

#[test]
fn an_autoscaler_without_request_stays_a_finding_beside_an_outage() {
    let local = Finding::partial(Cause::MissingRequest, object("web"), "no request");
    let answers = [
        fail(Step::Apiservice, "available", finding(Cause::ControlPlanePathClosed)),
        fail(Step::Hpa, "targets", local),
    ];
    let judgement = judge(&answers);
    assert_eq!(judgement.verdict, Verdict::Fault(Cause::ControlPlanePathClosed));
    assert_eq!(judgement.findings.len(), 2);
}

#[test]
fn the_same_fault_seen_twice_is_told_once_with_both_evidences() {
    let answers = [
        fail(Step::ConnectionRefused, "a", finding(Cause::UnknownFlag).evidence("log")),
        fail(Step::ConnectionRefused, "b", finding(Cause::UnknownFlag).evidence("status")),
    ];
    let judgement = judge(&answers);
    assert_eq!(judgement.findings.len(), 1);
    assert_eq!(judgement.findings[0].evidence, ["log", "status"].map(Evidence::from));
}

#[test]
fn a_latent_remark_is_no_answer_to_a_look_that_failed() {
    let mut answers = healthy();
    let latent = finding(Cause::KnownDefect).weighing(Impact::Latent);
    answers.push(fail(Step::KnownIssues, "version", latent));
    assert_eq!(name(&answers), VerdictName::Fault(Cause::KnownDefect));
    answers[3] = unknown(Step::Retrieve, "nodes", NotSeen::Unreachable("429".to_owned()));
    assert_eq!(name(&answers), VerdictName::Undetermined);
}
