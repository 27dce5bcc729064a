//! A scraped page of `/metrics` in the classic text format, and what tests ask of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// One line of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with `_total` and the like.
    pub name: String,
    /// Label values by name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// All samples of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Page {
    samples: Vec<Sample>,
    /// Bytes of the page.
    pub size: usize,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// Names the first line that is not of the format.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("not a sample: {line}")));
        Ok(Self { samples: samples.collect::<Result<_>>()?, size: text.len() })
    }

    /// Asks a server for its page.
    pub fn scrape(address: SocketAddr) -> Result<Self> {
        let (status, body) = get(address, "/metrics")?;
        ensure!(status == 200, "/metrics answers {status}: {body}");
        Self::parse(&body)
    }

    /// All samples of that name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The value of the one sample with that name and, among others, these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|seen| seen == value))
        };
        self.named(name).find(has).map(|sample| sample.value)
    }

    /// `step/cause` of the verdict; an error unless exactly one is 1 and the others are 0.
    pub fn verdict(&self) -> Result<String> {
        let holding: Vec<_> =
            self.named("metrics_server_doctor_verdict").filter(|sample| sample.value != 0.0).collect();
        match holding.as_slice() {
            [one] if one.value.to_bits() == 1_f64.to_bits() => {
                Ok(format!("{}/{}", one.label("step"), one.label("cause")))
            }
            other => bail!("the verdict is not one-hot: {other:?}"),
        }
    }

    /// The state of a check; an error unless exactly one holds.
    pub fn check(&self, step: &str, check: &str) -> Result<String> {
        let states: Vec<_> = self
            .named("metrics_server_doctor_check_status")
            .filter(|sample| sample.label("step") == step && sample.label("check") == check && sample.value != 0.0)
            .map(|sample| sample.label("status").to_owned())
            .collect();
        match states.as_slice() {
            [one] => Ok(one.clone()),
            other => bail!("check {step}/{check} has states {other:?}"),
        }
    }

    /// Verdict, checks that do not pass and missing permissions, for messages.
    pub fn summary(&self) -> String {
        let mut text = match self.verdict() {
            Ok(verdict) => format!("verdict {verdict}\n"),
            Err(error) => format!("{error}\n"),
        };
        for sample in self.named("metrics_server_doctor_check_status").filter(|sample| sample.value != 0.0) {
            let status = sample.label("status");
            if ["fail", "unknown"].contains(&status) {
                // Writing to a String does not fail.
                let _ = writeln!(text, "check {}/{}: {status}", sample.label("step"), sample.label("check"));
            }
        }
        for name in ["apiservice_available", "endpoints_count", "hpa_unknown_targets"] {
            for sample in self.named(name) {
                let _ = writeln!(text, "{name} {:?} {}", sample.labels, sample.value);
            }
        }
        for name in ["port_mismatch", "metrics_server_doctor_permission_missing"] {
            for sample in self.named(name).filter(|sample| sample.value != 0.0) {
                let _ = writeln!(text, "{name} {:?} {}", sample.labels, sample.value);
            }
        }
        text
    }
}

impl Sample {
    /// The value of a label, empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").context("a label without value")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next().context("no value")?;
    Ok(Sample { name: name.to_owned(), labels, value: value.parse()? })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[index + 1..])),
            '\\' => value.push(match characters.next().context("a backslash at the end")?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    bail!("a label value without end")
}

/// Status and body of a GET.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // HTTP 1.0, so that the body comes in one piece and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain, application/json;q=0.9\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the headers")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_labels_escapes_and_timestamps() {
        let page = Page::parse(
            "# HELP a b\na 1\nb{x=\"1\",y=\"a \\\"b\\\" \\\\ c\"} 2.5 1700000000000\nc{} NaN\nd{z=\"}\"} +Inf\n",
        )
        .expect("a page");
        assert_eq!(page.value("a", &[]), Some(1.0));
        assert_eq!(page.value("b", &[("x", "1")]), Some(2.5));
        assert_eq!(page.named("b").next().expect("b").label("y"), "a \"b\" \\ c");
        assert!(page.value("c", &[]).is_some_and(f64::is_nan));
        assert_eq!(page.value("d", &[("z", "}")]), Some(f64::INFINITY));
        assert!(Page::parse("a{x=\"1} 2").is_err());
    }

    #[test]
    fn a_verdict_is_told_only_when_exactly_one_holds() {
        let line = |cause: &str, value: u8| {
            format!("metrics_server_doctor_verdict{{step=\"none\",cause=\"{cause}\"}} {value}\n")
        };
        let verdict = |text: String| Page::parse(&text).expect("a page").verdict();
        assert_eq!(verdict(line("healthy", 1) + &line("undetermined", 0)).expect("one"), "none/healthy");
        assert!(verdict(line("healthy", 1) + &line("undetermined", 1)).is_err());
        assert!(verdict(line("healthy", 0)).is_err());
    }
}
