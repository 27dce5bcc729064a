//! The server under clients that are slow, many, half, greedy or hostile.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::*;

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        Self::with_page("a{b=\"c\"} 1\n".repeat(200))
    }

    fn with_page(page: String) -> Self {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let site = Site::default();
        site.replace(Content::new(format!("{page}# EOF\n"), "{}".to_owned(), String::new(), true));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server { site, ..Server::default() };
        let task = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// The answer to these bytes, until the server closes.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may close before it has read all.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn is_alive(&self) -> bool {
        let probe = self.answer(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        timeout(Duration::from_secs(3), probe).await.is_ok_and(|answer| answer.ends_with("ok\n"))
    }

    /// How long the end takes.
    async fn end(mut self) -> Duration {
        let begin = Instant::now();
        self.stop.take().expect("once").send(()).expect("a server");
        self.task.await.expect("no panic");
        begin.elapsed()
    }
}

#[tokio::test]
async fn an_end_waits_for_a_request_that_is_on_its_way_and_for_nobody_idle() {
    let server = Running::start();
    let _fresh = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.expect("a request");
    idle.read_u8().await.expect("an answer");
    let mut scraping = server.connect().await;
    scraping.write_all(&GET_AND_CLOSE[..20]).await.expect("half a request");
    let address = server.address;
    let ending = tokio::spawn(server.end());
    tokio::time::sleep(Duration::from_millis(100)).await;
    scraping.write_all(&GET_AND_CLOSE[20..]).await.expect("the other half");
    let mut late = TcpStream::connect(address).await.expect("a connection");
    late.write_all(GET_AND_CLOSE).await.expect("a request");
    for stream in [&mut scraping, &mut late] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("a{b=\"c\"} 1\n"), "{answer}");
    }
    let took = ending.await.expect("no panic");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_large_answer_that_is_being_read_is_finished_before_the_end() {
    let server = Running::with_page("a{b=\"c\"} 1\n".repeat(1_000_000));
    let mut reading = server.connect().await;
    reading.write_all(GET_AND_CLOSE).await.expect("a request");
    reading.read_u8().await.expect("an answer");
    let ending = tokio::spawn(server.end());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).await.expect("the rest");
    assert!(answer.len() > 11_000_000 && answer.ends_with(b"a{b=\"c\"} 1\n"), "{}", answer.len());
    assert!(ending.await.expect("no panic") < Duration::from_secs(5));
}

#[tokio::test]
async fn idle_clients_half_requests_and_slow_readers_keep_nobody_out() {
    let server = Running::with_page("a{b=\"c\"} 1\n".repeat(500_000));
    let mut held = Vec::new();
    for number in 0..CONNECTIONS + 20 {
        let mut stream = server.connect().await;
        let bytes = match number % 3 {
            0 => &b""[..],
            1 => &GET[..10],
            // Nobody reads the five megabytes that come back.
            _ => GET,
        };
        drop(stream.write_all(bytes).await);
        held.push(stream);
    }
    tokio::time::sleep(UNDISTURBED_FOR_SURE).await;
    for _ in 0..10 {
        assert!(server.is_alive().await, "a probe is kept waiting");
    }
    let scrape = timeout(Duration::from_secs(5), server.answer(GET_AND_CLOSE)).await.expect("a scrape");
    assert!(scrape.len() > 5_000_000);
    drop(held);
}

const UNDISTURBED_FOR_SURE: Duration = Duration::from_millis(1200);

#[tokio::test]
async fn two_hundred_scrapes_at_once_are_all_answered() {
    let server = Arc::new(Running::start());
    let scrapes: Vec<_> = (0..200)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.answer(GET_AND_CLOSE).await })
        })
        .collect();
    for scrape in scrapes {
        let answer = timeout(Duration::from_secs(10), scrape).await.expect("an answer").expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("a{b=\"c\"} 1\n"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_proper_request_is_refused_and_the_server_lives_on() {
    let server = Running::start();
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
    let long_header = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(2000));
    let large_body =
        format!("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n{}", "x".repeat(100_000));
    for (request, status) in [
        (long_line.as_str(), "HTTP/1.1 4"),
        (long_header.as_str(), "HTTP/1.1 431"),
        (many_headers.as_str(), "HTTP/1.1 431"),
        (large_body.as_str(), "HTTP/1.1 405"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: close\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 ",
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        ("GET http://elsewhere/metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}", "HTTP/1.1 400"),
        ("hello\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let answer = timeout(Duration::from_secs(5), server.answer(request.as_bytes())).await;
        let answer = answer.unwrap_or_else(|_| panic!("no end: {}", &request[..40.min(request.len())]));
        assert!(answer.starts_with(status), "{:?} gives {answer:?}", &request[..40.min(request.len())]);
    }
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn requests_in_one_go_are_answered_one_after_the_other() {
    let server = Running::start();
    let mut pipelined = GET.repeat(50);
    pipelined.extend_from_slice(GET_AND_CLOSE);
    let answer = timeout(Duration::from_secs(5), server.answer(&pipelined)).await.expect("answers");
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 51);
    assert_eq!(answer.matches("a{b=\"c\"} 1\n").count(), 51 * 200);
}

#[tokio::test(start_paused = true)]
async fn a_half_request_ends_after_its_time() {
    let server = Running::start();
    let mut half = server.connect().await;
    half.write_all(&GET[..10]).await.expect("half a request");
    let begin = tokio::time::Instant::now();
    drop(half.read_to_end(&mut Vec::new()).await);
    let took = begin.elapsed();
    assert!(took >= HEADER_TIMEOUT && took < HEADER_TIMEOUT + Duration::from_secs(5), "{took:?}");
}
