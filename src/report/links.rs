//! Where links to runbooks lead.

use crate::catalogue::Cause;

/// What links to runbooks begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Links {
    /// The pages of the doctor that gave the report, relative to its own address.
    #[default]
    Own,
    /// The pages of a doctor that people reach at this address.
    Doctor(String),
    /// Files below this address or folder.
    Files(String),
}

impl Links {
    /// Links for `--external-url` and `--runbook-url`; files that somebody has put elsewhere come first.
    pub fn new(external_url: Option<String>, runbook_url: Option<String>) -> Self {
        match (external_url, runbook_url) {
            (_, Some(files)) => Self::Files(files),
            (Some(doctor), None) => Self::Doctor(doctor),
            (None, None) => Self::Own,
        }
    }

    /// The section of a cause, as a reference that is resolved against the doctor's address where it is none of its own.
    pub fn runbook(&self, cause: Cause) -> String {
        let (step, id) = (cause.step(), cause.id());
        match self {
            Self::Own => format!("runbooks/{step}#{id}"),
            Self::Doctor(address) => format!("{}/runbooks/{step}#{id}", address.trim_end_matches('/')),
            Self::Files(address) => format!("{}/{step}.md#{id}", address.trim_end_matches('/')),
        }
    }

    /// How to read the section at a terminal: the link, or the command that prints what the program holds itself.
    pub fn how_to_read(&self, cause: Cause) -> String {
        match self {
            Self::Own => format!("metrics-server-doctor runbook {}/{}", cause.step(), cause.id()),
            Self::Doctor(_) | Self::Files(_) => self.runbook(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_begin_where_people_reach_the_doctor() {
        let links = |external: Option<&str>, files: Option<&str>| {
            Links::new(external.map(str::to_owned), files.map(str::to_owned)).runbook(Cause::ServiceNotFound)
        };
        assert_eq!(links(None, None), "runbooks/other_reasons#service_not_found");
        for address in ["https://doctor.example/east", "https://doctor.example/east/"] {
            let link = "https://doctor.example/east/runbooks/other_reasons#service_not_found";
            assert_eq!(links(Some(address), None), link);
        }
        assert_eq!(links(Some("http://[fd00::1]:19102"), None).find("]:19102/runbooks/"), Some(15));
        for files in ["https://wiki.example/books", "https://wiki.example/books/"] {
            let link = "https://wiki.example/books/other_reasons.md#service_not_found";
            assert_eq!(links(Some("https://doctor.example"), Some(files)), link);
        }
    }

    #[test]
    fn a_terminal_is_told_a_command_where_there_is_no_address() {
        assert_eq!(
            Links::Own.how_to_read(Cause::ServiceNotFound),
            "metrics-server-doctor runbook other_reasons/service_not_found"
        );
        let doctor = Links::Doctor("https://doctor.example".to_owned());
        assert_eq!(doctor.how_to_read(Cause::ServiceNotFound), doctor.runbook(Cause::ServiceNotFound));
    }
}
