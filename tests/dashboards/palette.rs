//! What states look like, everywhere alike: a colour of the Okabe-Ito palette, and always a word beside it.

use metrics_server_doctor::{
    catalogue::{self, Cause, Scope},
    check::Status,
    facts::autoscalers::{NONE, SCALED_TO_ZERO, TOO_YOUNG, labels},
    guide::Step,
};
use serde_json::{Map, Value, json};

/// Bluish green: looked, and all is well.
pub(crate) const PASS: &str = "#009E73";
/// Vermillion: looked, and something is broken.
pub(crate) const FAIL: &str = "#D55E00";
/// Orange: something is broken, and hurts some.
pub(crate) const PARTIAL: &str = "#E69F00";
/// Yellow: could not look.
pub(crate) const UNKNOWN: &str = "#F0E442";
/// Sky blue: does not apply.
pub(crate) const SKIPPED: &str = "#56B4E9";
/// Grey: there is no data, not even of the doctor.
pub(crate) const NO_DATA: &str = "#6E6E6E";
/// Blue: a value that is neither good nor bad.
pub(crate) const NEUTRAL: &str = "#0072B2";

/// The colours of lines in one panel, in this order.
pub(crate) const LINES: [&str; 5] = ["#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00"];

/// What a panel says where there is nothing to read.
pub(crate) const NO_DATA_TEXT: &str = "No data";

/// The number that stands for a state in queries; the worst of several is the greatest.
pub(crate) const fn code(status: Status) -> u8 {
    match status {
        Status::Skipped => 0,
        Status::Pass => 1,
        Status::Unknown => 2,
        Status::Fail => 3,
    }
}

const fn look(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Pass => ("Pass", PASS),
        Status::Fail => ("Fail", FAIL),
        Status::Unknown => ("Could not look", UNKNOWN),
        Status::Skipped => ("Does not apply", SKIPPED),
    }
}

/// Texts and colours of the numbers of [`code`]; -1 is what a query gives where nothing is known.
pub(crate) fn states() -> Value {
    let four = Status::ALL.map(|status| (code(status).to_string(), look(status)));
    let all = four.into_iter().chain([("-1".to_owned(), (NO_DATA_TEXT, NO_DATA))]);
    mapping(all.map(|(key, (text, colour))| (key, text.to_owned(), Some(colour))))
}

/// Texts and colours of 0 and 1.
pub(crate) fn two(zero: (&str, &str), one: (&str, &str)) -> Value {
    mapping([("0".to_owned(), zero.0.to_owned(), Some(zero.1)), ("1".to_owned(), one.0.to_owned(), Some(one.1))])
}

/// Every verdict by its name `step/cause`.
pub(crate) fn verdicts() -> Value {
    // A cause that is nobody's but some nodes', callers' or autoscalers' is no outage.
    let colour = |cause: Cause| if cause.scope() == Scope::Pipeline { FAIL } else { PARTIAL };
    let causes =
        catalogue::all().iter().map(|entry| (verdict_key(entry.cause), entry.id.to_owned(), Some(colour(entry.cause))));
    mapping(causes.chain([
        ("none/healthy".to_owned(), "Healthy".to_owned(), Some(PASS)),
        ("none/undetermined".to_owned(), "Could not tell".to_owned(), Some(UNKNOWN)),
    ]))
}

/// What each verdict means.
pub(crate) fn meanings() -> Value {
    let causes = catalogue::all().iter().map(|entry| (verdict_key(entry.cause), entry.title.to_owned(), None));
    mapping(causes.chain([
        ("none/healthy".to_owned(), "The metrics pipeline is healthy.".to_owned(), None),
        (
            "none/undetermined".to_owned(),
            "The evidence fits several causes, or too little could be seen.".to_owned(),
            None,
        ),
    ]))
}

/// What repairs each verdict.
pub(crate) fn remedies() -> Value {
    let causes = catalogue::all().iter().map(|entry| (verdict_key(entry.cause), entry.remedy.to_owned(), None));
    mapping(causes.chain([
        ("none/healthy".to_owned(), "Nothing.".to_owned(), None),
        (
            "none/undetermined".to_owned(),
            "Look at the candidates below and at the checks that could not look; `metrics-server-doctor check` tells what would settle it."
                .to_owned(),
            None,
        ),
    ]))
}

/// The question that each check of a step asks.
pub(crate) fn questions(step: Step) -> Value {
    mapping(
        metrics_server_doctor::steps::checks(step)
            .iter()
            .map(|check| (check.id.to_owned(), check.question.to_owned(), None)),
    )
}

/// Why an autoscaler does not know a target: what it means, with the catalogue's words where it is a fault.
pub(crate) fn autoscaler_causes() -> Value {
    mapping(labels().filter(|label| *label != NONE).map(|label| {
        let (text, colour) = match (label, in_catalogue(label)) {
            (SCALED_TO_ZERO, _) => ("Scaled to zero: no fault.", SKIPPED),
            (TOO_YOUNG, _) => ("Just started: no fault, values come with the next rounds.", SKIPPED),
            (_, Some(cause)) => (cause.entry().title, PARTIAL),
            (_, None) => (label, PARTIAL),
        };
        (label.to_owned(), text.to_owned(), Some(colour))
    }))
}

/// What repairs an autoscaler, by the same labels.
pub(crate) fn autoscaler_remedies() -> Value {
    mapping(labels().filter(|label| *label != NONE).map(|label| {
        let text = in_catalogue(label).map_or("Nothing.", |cause| cause.entry().remedy);
        (label.to_owned(), text.to_owned(), None)
    }))
}

fn in_catalogue(label: &str) -> Option<Cause> {
    catalogue::all().iter().find(|entry| entry.step == Step::Hpa && entry.id == label).map(|entry| entry.cause)
}

/// The name of a verdict, as the queries join it.
pub(crate) fn verdict_key(cause: Cause) -> String {
    format!("{}/{}", cause.step(), cause.id())
}

/// A value mapping: key, text, colour.
pub(crate) fn mapping<'c>(rows: impl IntoIterator<Item = (String, String, Option<&'c str>)>) -> Value {
    let options: Map<String, Value> = rows
        .into_iter()
        .enumerate()
        .map(|(index, (key, text, colour))| {
            let mut result = json!({"index": index, "text": text});
            if let Some(colour) = colour {
                result["color"] = json!(colour);
            }
            (key, result)
        })
        .collect();
    json!([{"type": "value", "options": options}])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How dichromats see linear RGB (Machado, Oliveira and Fernandes 2009, severity 1.0): protan, deutan, tritan.
    const SIGHTS: [[[f64; 3]; 3]; 3] = [
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ];
    const PLAIN: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    fn linear(colour: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let channel = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
            if channel <= 0.040_45 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(factor, part)| factor * part).sum::<f64>().clamp(0.0, 1.0))
    }

    /// CIE L*a*b* under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let xyz = to_xyz.map(|row| row.iter().zip(rgb).map(|(factor, part)| factor * part).sum::<f64>());
        let [x, y, z] = [xyz[0] / 0.9505, xyz[1], xyz[2] / 1.089]
            .map(|part| if part > 0.008_856 { part.cbrt() } else { 7.787 * part + 16.0 / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn states_stay_apart_for_every_kind_of_colour_blindness() {
        let colours = [
            ("pass", PASS),
            ("fail", FAIL),
            ("partial", PARTIAL),
            ("unknown", UNKNOWN),
            ("skipped", SKIPPED),
            ("no data", NO_DATA),
        ];
        for sight in SIGHTS.into_iter().chain([PLAIN]) {
            for (index, (one, first)) in colours.iter().enumerate() {
                for (other, second) in &colours[..index] {
                    let [a, b] = [first, second].map(|colour| lab(times(sight, linear(colour))));
                    let distance = a.iter().zip(b).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt();
                    // Ten is where colours that do not touch are told apart at a glance.
                    assert!(distance > 10.0, "{one} and {other} look alike: {distance:.1}");
                }
            }
        }
    }
}
