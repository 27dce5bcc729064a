//! What could not be read, told once each and within bounds.

/// How many notices are told one by one.
const MOST: usize = 100;

/// Notices, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: Vec<String>,
    left_out: usize,
}

impl Notices {
    /// Adds one.
    pub(super) fn push(&mut self, notice: String) {
        if self.told.contains(&notice) {
            return;
        }
        if self.told.len() < MOST {
            self.told.push(notice);
        } else {
            self.left_out += 1;
        }
    }

    /// All of them, and how many more there were.
    pub(super) fn finish(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.told.push(format!("and {} notices more", self.left_out));
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_notices_are_counted() {
        let mut notices = Notices::default();
        (0..250).for_each(|number| notices.push(format!("file {}", number / 2)));
        let told = notices.finish();
        assert_eq!((told.len(), told.last().map(String::as_str)), (MOST + 1, Some("and 50 notices more")));
    }
}
