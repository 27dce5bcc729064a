//! The command `metrics-server-doctor`.

fn main() {}
