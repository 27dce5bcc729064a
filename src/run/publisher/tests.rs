use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
};

use super::*;
use crate::{
    http,
    run::{serve, serving::serve_until_told},
    testing::healthy,
};

/// The body of a GET by a client that is no part of any runtime.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn publisher() -> Publisher {
    Publisher::new(Links::default(), HpaSeries::default(), None)
}

fn observed(page: &str) -> Option<&str> {
    let line = page.lines().find(|line| line.starts_with("metrics_server_doctor_observed_timestamp_seconds "))?;
    line.split(' ').nth(1)
}

/// The runtime that judges and watches has one thread here, and that one is stuck.
#[tokio::test]
async fn nothing_that_holds_up_the_other_threads_keeps_a_client_waiting() {
    let mut publisher = publisher();
    publisher.publish(&Look::of(healthy())).expect("a page");
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let server =
        http::Server { site: publisher.site(), guard: serve::guard_without_reviews(None), ..http::Server::default() };
    let (release, held) = mpsc::channel::<()>();
    let (start, started) = mpsc::channel::<()>();
    publisher.before = Some(Box::new(move || {
        start.send(()).expect("the test waits");
        let _ = held.recv();
    }));
    let mut later = healthy();
    later.observed_at = later.observed_at.checked_add(jiff::SignedDuration::from_secs(60)).expect("a moment");
    let (told, said) = mpsc::channel();
    let publishing = async move {
        let publishing = publisher.publish_aside(Look::of(later));
        let watching = async move {
            // A task that never yields, as a large snapshot in the making.
            started.recv().expect("a judgement");
            let first = get(address, "/metrics");
            let probes = [get(address, "/livez"), get(address, "/readyz")];
            release.send(()).expect("the judgement waits");
            told.send((first, probes)).expect("the test waits");
        };
        let (publisher, ()) = tokio::join!(publishing, watching);
        let publisher = publisher?;
        assert!(publisher.rest() > Duration::ZERO);
        assert_eq!(observed(&get(address, "/metrics")), Some("1767268860.0"), "the page of the later look");
        Err(Failure::Defect("the end of the test".to_owned()))
    };
    let ended = serve_until_told(listener, server, publishing).await;
    assert!(matches!(ended, Err(Failure::Defect(why)) if why == "the end of the test"));
    let (first, probes) = said.recv().expect("answers");
    assert_eq!(observed(&first), Some("1767268800.0"), "the page of the look before, with its age");
    for probe in probes {
        assert!(probe.starts_with("HTTP/1.1 200") && probe.ends_with("ok\n"), "{probe}");
    }
}

#[tokio::test]
async fn a_look_that_cannot_be_judged_costs_its_page_and_no_more() {
    let mut publisher = publisher();
    publisher.publish(&Look::of(healthy())).expect("a page");
    publisher.before = Some(Box::new(|| panic!("a defect, on purpose")));
    let mut publisher = publisher.publish_aside(Look::of(healthy())).await.expect("it goes on");
    publisher.before = None;
    publisher.publish_aside(Look::of(healthy())).await.expect("a page");
}

#[test]
fn the_longer_a_judgement_takes_the_longer_is_the_rest_after_it() {
    let mut publisher = publisher();
    for (took, rest) in [(0, 0), (10, 90), (1_000, 9_000), (60_000, 30_000)] {
        publisher.judged_in = Some(Duration::from_millis(took));
        assert_eq!(publisher.rest(), Duration::from_millis(rest));
    }
}
