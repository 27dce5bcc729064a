//! The report for people: the verdict in one sentence, the way with the broken hop, the evidence, one command, and then what
//! else was found.

mod closeup;
mod page;
mod sheet;
mod words;

pub(super) use self::words::{NAMES_SHOWN, named, names, since, subject, way};
pub use self::{
    closeup::closeup,
    page::{Manner, brief, full, text},
    sheet::Terminal,
    words::{counts, heading},
};

#[cfg(test)]
mod tests;
