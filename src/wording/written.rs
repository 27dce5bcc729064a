//! When a line of a log was written.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// The moment that a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A moment: the stamp of `kubectl logs --timestamps`, or `ts` of the JSON format in milliseconds of the epoch.
    At(Timestamp),
    /// Month, day, hour, minute and second: klog's header has no year and no zone.
    Yearless([i8; 5]),
}

impl Written {
    /// Reads a line; `None` where it tells no moment.
    pub fn of(line: &str) -> Option<Self> {
        let first = line.split(' ').next().unwrap_or("");
        if let Ok(stamp) = first.parse::<Timestamp>() {
            return Some(Self::At(stamp));
        }
        if let Some((_, number)) = line.split_once("\"ts\":") {
            let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
            return Timestamp::from_millisecond(number[..end].parse().ok()?).ok().map(Self::At);
        }
        if let Some((_, behind)) = line.split_once("time=\"")
            && let Some(stamp) = behind.split('"').next().and_then(|stamp| stamp.parse().ok())
        {
            return Some(Self::At(stamp));
        }
        // journald and the like stand before the header.
        Self::header(line).or_else(|| line.split_once("]: ").and_then(|(_, behind)| Self::header(behind)))
    }

    fn header(line: &str) -> Option<Self> {
        let severity = line.as_bytes().first()?;
        if !b"IWEF".contains(severity) {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            let digits = line.get(range)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i8>().ok()).flatten()
        };
        let separators = (line.get(5..6)?, line.get(8..9)?, line.get(11..12)?);
        if separators != (" ", ":", ":") {
            return None;
        }
        Some(Self::Yearless([number(1..3)?, number(3..5)?, number(6..8)?, number(9..11)?, number(12..14)?]))
    }

    /// The moment; of one without a year the last such that is not after `now`. A container's clock may run in another
    /// zone or a little ahead.
    pub fn at(self, now: Timestamp) -> Option<Timestamp> {
        let [month, day, hour, minute, second] = match self {
            Self::At(moment) => return Some(moment),
            Self::Yearless(parts) => parts,
        };
        let this_year = now.to_zoned(TimeZone::UTC).year();
        let latest = now.checked_add(SignedDuration::from_hours(14)).unwrap_or(Timestamp::MAX);
        [this_year, this_year - 1].into_iter().find_map(|year| {
            let moment = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
            let moment = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
            (moment <= latest).then_some(moment)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_of_every_format() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a timestamp");
        for (line, moment) in [
            ("2026-01-01T00:00:00.5Z I0101 text", Some("2026-01-01T00:00:00.5Z")),
            (
                "2022-01-12T12:31:10.497410495+00:00 stderr F E0112 12:31:10.497393 x",
                Some("2022-01-12T12:31:10.497410495Z"),
            ),
            ("E1231 23:59:00.247604       1 x.go:1] text", Some("2025-12-31T23:59:00Z")),
            (
                "Nov 21 17:21:05 host kube-apiserver[891]: E1121 22:21:05.328952       1 x.go:225] y",
                Some("2025-11-21T22:21:05Z"),
            ),
            (r#"{"ts":1767225600000.1,"msg":"x"}"#, Some("2026-01-01T00:00:00Z")),
            (r#"time="2025-06-14T23:05:13+08:00" level=error msg="x""#, Some("2025-06-14T15:05:13Z")),
            ("panic: x", None),
            ("Error: x", None),
            ("E0101 aa:bb:cc.0 x", None),
            ("I0229 00:00:00.000000       1 a leap day that is none", None),
        ] {
            let read = Written::of(line).and_then(|written| written.at(now));
            assert_eq!(read, moment.map(|moment| moment.parse().expect("a timestamp")), "{line}");
        }
        let last = Written::of("E1231 23:59:00.247604       1 x.go:1] text").expect("a moment");
        assert_eq!(last.at(Timestamp::MAX).map(|_| ()), Some(()), "the last year does not overflow");
    }
}
