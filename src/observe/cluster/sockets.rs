//! On which TCP ports something listens in the network namespace that the doctor shares with metrics-server as a sidecar.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::{backoff::jitter, heard::Message, options::Timings};
use crate::snapshot::{NotSeen, Observed};

/// Both families; a kernel without IPv6 has the first alone.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// `TCP_LISTEN` (Linux `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// Reads for ever. The doctor's own port is left out.
pub(super) async fn run(timings: Timings, own_port: Option<u16>, messages: mpsc::Sender<Message>) {
    loop {
        let mut ports = read(&TABLES);
        if let (Observed::Present(ports), Some(own)) = (&mut ports, own_port) {
            ports.remove(&own);
        }
        if messages.send(Message::Listening(ports)).await.is_err() {
            return;
        }
        tokio::time::sleep(jitter(timings.probe_interval)).await;
    }
}

fn read(tables: &[&str]) -> Observed<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    let mut failure = None;
    let mut is_read = false;
    for table in tables {
        match std::fs::read_to_string(table) {
            Ok(text) => {
                is_read = true;
                ports.extend(listening(&text));
            }
            Err(error) => failure = Some(format!("{table}: {error}")),
        }
    }
    match failure {
        Some(failure) if !is_read => Observed::NotSeen(NotSeen::Unreachable(failure)),
        _ => Observed::Present(ports),
    }
}

/// Ports in state LISTEN of a table of `proc(5)`.
fn listening(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (_, port) = local.rsplit_once(':')?;
        (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_state_listen_are_read_of_both_families() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0\n   2: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 0:0\n";
        assert_eq!(listening(table).collect::<Vec<_>>(), [8080, 10250]);
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert!(read(&TABLES).seen().is_some_and(|ports| ports.contains(&port)));
    }

    #[test]
    fn what_cannot_be_read_was_not_seen() {
        assert!(matches!(read(&["/proc/does/not/exist"]), Observed::NotSeen(_)));
    }
}
