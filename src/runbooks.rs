//! The runbooks of `docs/runbooks`, embedded by `build.rs`: as they were when the program was built.

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runbook {
    /// The id of the step that it is about; `doctor` for the doctor itself, `README` for the index.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// The page as it is written.
    pub markdown: &'static str,
    /// The page as HTML, without what every document has around it.
    pub html: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// The page that lists the others.
pub const INDEX: &str = "README";

/// The page of that id.
pub fn page(id: &str) -> Option<&'static Runbook> {
    PAGES.iter().find(|page| page.id == id)
}

/// All pages but the lists of them.
pub fn all() -> impl Iterator<Item = &'static Runbook> {
    PAGES.iter().filter(|page| !page.id.starts_with(INDEX))
}

impl Runbook {
    /// The ids of the sections that links may name: one a cause.
    pub fn anchors(&self) -> impl Iterator<Item = &'static str> {
        self.sections().map(|(anchor, _)| anchor)
    }

    /// The section of a cause, heading included.
    pub fn section(&self, anchor: &str) -> Option<&'static str> {
        self.sections().find(|(own, _)| *own == anchor).map(|(_, text)| text)
    }

    /// Every part of the page whose heading has an anchor of its own, to the next heading.
    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let markdown = self.markdown;
        let starts = markdown.match_indices("\n#").map(|(index, _)| index + 1);
        starts.filter_map(move |start| {
            let text = &markdown[start..];
            let heading = text.lines().next()?;
            let anchor = heading.split_once("<a id=\"")?.1.split('"').next()?;
            let end = text[heading.len()..].find("\n#").map_or(text.len(), |end| heading.len() + end);
            Some((anchor, text[..end].trim_end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue, guide::Step};

    #[test]
    fn every_step_has_a_page_and_every_cause_a_section_in_both_forms() {
        for step in Step::ALL {
            let page = page(step.id()).unwrap_or_else(|| panic!("{step} has no page"));
            assert!(page.html.starts_with("<h1 id=\""), "{step}: {}", &page.html[..60]);
            for entry in catalogue::all().iter().filter(|entry| entry.step == step) {
                let section = page.section(entry.id).unwrap_or_else(|| panic!("{step}/{} has no section", entry.id));
                assert!(section.starts_with("### ") && section.contains(entry.title), "{section}");
                assert!(!section[4..].contains("\n#"), "{section}");
                assert!(page.html.contains(&format!(" id=\"{}\"", entry.id)), "{step}/{} has no anchor", entry.id);
            }
        }
        assert!(page(INDEX).is_some() && all().all(|page| !page.id.starts_with(INDEX)));
    }

    #[test]
    fn pages_link_only_to_pages_anchors_and_https() {
        for page in PAGES {
            for link in page.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if link.starts_with("https://") || link == "./" {
                    continue;
                }
                let (to, anchor) = link.split_once('#').map_or((link, None), |(to, anchor)| (to, Some(anchor)));
                let to = if to.is_empty() { page.id } else { to };
                let to = super::page(to).unwrap_or_else(|| panic!("{}: {link} leads nowhere", page.id));
                let anchored = anchor.is_none_or(|anchor| to.html.contains(&format!(" id=\"{anchor}\"")));
                assert!(anchored, "{}: {link} leads nowhere", page.id);
            }
            for loaded in ["src=", "<script", "<style", "<iframe", "<link"] {
                assert!(!page.html.contains(loaded), "{} has {loaded}", page.id);
            }
        }
    }
}
