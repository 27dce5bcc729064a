use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;
use crate::observe::cluster::fake::{FakeServer, Fault};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const TOKEN_REVIEWS: &str = "/tokenreviews";
const ACCESS_REVIEWS: &str = "/subjectaccessreviews";

fn reviewer(server: &FakeServer, lifetimes: Lifetimes) -> Reviewer {
    Reviewer::with_lifetimes(server.clients().probes, lifetimes)
}

fn certificate(name: Option<&str>, group: &str) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().clone()
}

#[tokio::test]
async fn only_whom_the_api_server_knows_and_allows_may_read() {
    let server = FakeServer::start().await;
    server.issue("of-prometheus", "system:serviceaccount:monitoring:prometheus");
    server.issue("of-somebody", "somebody");
    server.allow_path("system:serviceaccount:monitoring:prometheus", "/metrics");
    let reviewer = reviewer(&server, Lifetimes::default());
    for (token, path, decision) in [
        ("of-prometheus", "/metrics", Decision::Allowed),
        ("of-prometheus", "/api/v1/report", Decision::Denied),
        ("of-somebody", "/metrics", Decision::Denied),
        ("made up", "/metrics", Decision::Unknown),
    ] {
        assert_eq!(reviewer.decide(Credential::Token(token), path, HERE).await, Ok(decision), "{token} {path}");
    }
}

#[tokio::test]
async fn a_certificate_names_the_user_and_the_groups_and_needs_no_token_review() {
    let server = FakeServer::start().await;
    server.allow_path("prometheus", "/metrics");
    server.allow_path("scrapers", "/metrics");
    let reviewer = reviewer(&server, Lifetimes::default());
    for (name, group, decision) in [
        (Some("prometheus"), "none", Decision::Allowed),
        (Some("another"), "scrapers", Decision::Allowed),
        (Some("another"), "none", Decision::Denied),
        (None, "scrapers", Decision::Unknown),
    ] {
        let certificate = certificate(name, group);
        let decided = reviewer.decide(Credential::Certificate(&certificate), "/metrics", HERE).await;
        assert_eq!(decided, Ok(decision), "{name:?} {group}");
    }
    assert_eq!(server.requests(TOKEN_REVIEWS), 0);
}

#[tokio::test]
async fn answers_are_kept_for_their_time_and_no_longer() {
    let server = FakeServer::start().await;
    server.issue("t", "prometheus");
    server.allow_path("prometheus", "/metrics");
    let lifetimes = Lifetimes { allowed: Duration::from_millis(300), refused: Duration::from_millis(300) };
    let reviewer = reviewer(&server, lifetimes);
    for _ in 0..5 {
        assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
        assert_eq!(reviewer.decide(Credential::Token("other"), "/metrics", HERE).await, Ok(Decision::Unknown));
    }
    assert_eq!((server.requests(TOKEN_REVIEWS), server.requests(ACCESS_REVIEWS)), (2, 1));
    server.revoke("t");
    server.issue("other", "prometheus");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Unknown));
    assert_eq!(reviewer.decide(Credential::Token("other"), "/metrics", HERE).await, Ok(Decision::Allowed));
}

#[tokio::test]
async fn who_cannot_be_asked_about_is_neither_allowed_nor_refused_and_that_is_not_kept() {
    let server = FakeServer::start().await;
    server.issue("t", "prometheus");
    server.allow_path("prometheus", "/metrics");
    let reviewer = reviewer(&server, Lifetimes::default());
    for (path, code) in [
        ("/apis/authentication.k8s.io/v1/tokenreviews", 403),
        ("/apis/authentication.k8s.io/v1/tokenreviews", 500),
        ("/apis/authorization.k8s.io/v1/subjectaccessreviews", 403),
        ("/apis/authorization.k8s.io/v1/subjectaccessreviews", 201),
    ] {
        // A 201 without a status decides nothing either.
        let body =
            r#"{"kind": "Status", "metadata": {}, "spec": {"token": ""}, "code": 1}"#.replace('1', &code.to_string());
        server.answer(path, code, &body);
        assert_eq!(
            reviewer.decide(Credential::Token("t"), "/metrics", HERE).await,
            Err(CouldNotAsk::NoAnswer),
            "{path} {code}"
        );
        server.forget_answer(path);
    }
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
}

#[tokio::test]
async fn an_api_server_that_hangs_or_is_gone_is_not_asked_for_ever() {
    let server = FakeServer::start().await;
    server.fail("tokenreviews", Fault::Hang);
    let waiting = reviewer(&server, Lifetimes::default());
    let begin = Instant::now();
    assert_eq!(waiting.decide(Credential::Token("t"), "/metrics", HERE).await, Err(CouldNotAsk::NoAnswer));
    assert!(begin.elapsed() < LIMIT + Duration::from_secs(2));
    let gone = {
        let server = FakeServer::start().await;
        reviewer(&server, Lifetimes::default())
    };
    tokio::task::yield_now().await;
    assert_eq!(gone.decide(Credential::Token("t"), "/metrics", HERE).await, Err(CouldNotAsk::NoAnswer));
}

#[tokio::test]
async fn a_flood_of_tokens_keeps_neither_memory_nor_places_nor_the_api_server() {
    let server = FakeServer::start().await;
    server.issue("t", "prometheus");
    server.allow_path("prometheus", "/metrics");
    let reviewer = reviewer(&server, Lifetimes::default());
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
    let floods: Vec<_> = (0..KEPT + 50)
        .map(|number| {
            let reviewer = reviewer.clone();
            tokio::spawn(
                async move { reviewer.decide(Credential::Token(&format!("f{number}")), "/metrics", HERE).await },
            )
        })
        .collect();
    let mut refused = 0;
    for flood in floods {
        match flood.await.expect("no panic") {
            Ok(decision) => assert_eq!(decision, Decision::Unknown),
            Err(trouble) => {
                assert_eq!(trouble, CouldNotAsk::TooMany);
                refused += 1;
            }
        }
    }
    let asked = server.requests(TOKEN_REVIEWS);
    assert!(asked < 20 && refused > KEPT, "{asked} questions, {refused} refused");
    assert!(reviewer.0.kept.lock().expect("no panic").len() <= asked);
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
    assert_eq!(server.requests(TOKEN_REVIEWS), asked, "who may read is still known");
    // A scraper elsewhere that nobody has seen before is asked about.
    server.issue("new", "prometheus");
    let elsewhere = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(reviewer.decide(Credential::Token("new"), "/metrics", elsewhere).await, Ok(Decision::Allowed));
}

#[tokio::test]
async fn who_was_let_in_before_is_asked_about_again_in_the_midst_of_a_flood() {
    let server = FakeServer::start().await;
    server.issue("t", "prometheus");
    server.allow_path("prometheus", "/metrics");
    let short = Duration::from_millis(1);
    let reviewer = reviewer(&server, Lifetimes { allowed: short, refused: short });
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
    for number in 0..50 {
        let _ = reviewer.decide(Credential::Token(&format!("f{number}")), "/metrics", HERE).await;
    }
    assert_eq!(
        reviewer.decide(Credential::Token("one more"), "/metrics", HERE).await,
        Err(CouldNotAsk::TooMany),
        "the address has used up its questions"
    );
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Allowed));
    server.revoke("t");
    tokio::time::sleep(short * 5).await;
    assert_eq!(reviewer.decide(Credential::Token("t"), "/metrics", HERE).await, Ok(Decision::Unknown));
}
