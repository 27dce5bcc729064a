//! What is healthy or merely unusual is never blamed, and no input is too odd to be read.

#[path = "lookalikes/collect.rs"]
mod collect;
#[path = "lookalikes/live.rs"]
mod live;
#[path = "lookalikes/odd.rs"]
mod odd;
#[path = "lookalikes/packagings.rs"]
mod packagings;
