use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;

fn site() -> Site {
    let site = Site::default();
    let page = format!("# TYPE a gauge\n{}# EOF\n", "a{b=\"c\"} 1\n".repeat(200));
    site.replace(Content::new(page, "{}".to_owned(), "<!doctype html>".to_owned(), false));
    site
}

fn request(method: Method, path: &str, headers: &[(header::HeaderName, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(()).expect("a request")
}

fn content_type(response: &Response<Full<Bytes>>) -> &str {
    response.headers()[header::CONTENT_TYPE].to_str().expect("text")
}

#[test]
fn every_path_answers_with_its_type() {
    let site = site();
    for (path, status, kind) in [
        ("/metrics", 200, CLASSIC),
        ("/api/v1/report", 200, JSON),
        ("/", 200, HTML),
        ("/livez", 200, PLAIN),
        ("/readyz", 503, PLAIN),
        ("/nowhere", 404, PLAIN),
    ] {
        let response = site.answer(&request(Method::GET, path, &[]));
        assert_eq!((response.status().as_u16(), content_type(&response)), (status, kind), "{path}");
    }
    let response = site.answer(&request(Method::GET, "/metrics", &[(header::ACCEPT, "application/openmetrics-text")]));
    assert_eq!(content_type(&response), OPEN_METRICS);
}

#[test]
fn it_is_ready_after_the_first_complete_look() {
    let site = site();
    site.replace(Content::new(String::new(), String::new(), String::new(), true));
    assert_eq!(site.answer(&request(Method::GET, "/readyz", &[])).status(), StatusCode::OK);
}

#[test]
fn only_reading_is_possible() {
    let response = site().answer(&request(Method::POST, "/metrics", &[]));
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
}

#[test]
fn large_pages_are_compressed_where_asked_and_small_ones_never() {
    let site = site();
    let gzip = [(header::ACCEPT_ENCODING, "gzip")];
    let large = site.answer(&request(Method::GET, "/metrics", &gzip));
    assert_eq!(large.headers()[header::CONTENT_ENCODING], "gzip");
    let small = site.answer(&request(Method::GET, "/api/v1/report", &gzip));
    assert!(!small.headers().contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn a_scrape_over_the_wire_and_an_end_that_waits_for_it() {
    let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, site(), async { drop(stopped.await) }));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("a{b=\"c\"} 1\n"), "{answer}");

    // An idle connection does not keep the server from ending.
    let _idle = TcpStream::connect(address).await.expect("a connection");
    stop.send(()).expect("a server");
    tokio::time::timeout(Duration::from_secs(3), server).await.expect("an end").expect("no panic");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(serve(listener, site(), std::future::pending()));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
    // The server may have closed before all of it was sent.
    drop(stream.write_all(head.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 431"), "{answer:?}");
    server.abort();
}
