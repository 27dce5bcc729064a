//! Quantities of resources (`100m`, `1Gi`, `1e3`).

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A quantity as it was written. What autoscalers ask is whether it is there and what its sum is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantity(pub String);

impl Quantity {
    /// The value in base units (cores, bytes); `None` when the text is no quantity
    /// (kubernetes/apimachinery `pkg/api/resource/quantity.go`: decimal and binary suffixes, or an exponent).
    pub fn value(&self) -> Option<f64> {
        let text = self.0.trim();
        let number_end = text
            .char_indices()
            .find(|&(index, character)| {
                !(character.is_ascii_digit() || character == '.' || (index == 0 && matches!(character, '+' | '-')))
            })
            .map_or(text.len(), |(index, _)| index);
        let (number, suffix) = text.split_at(number_end);
        let number: f64 = number.parse().ok()?;
        let factor = match suffix {
            "" => 1.0,
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1_048_576.0,
            "Gi" => 1_073_741_824.0,
            "Ti" => 1_099_511_627_776.0,
            "Pi" => 1_125_899_906_842_624.0,
            "Ei" => 1_152_921_504_606_846_976.0,
            exponent => {
                let digits = exponent.strip_prefix(['e', 'E'])?;
                10_f64.powi(digits.parse().ok()?)
            }
        };
        Some(number * factor)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML written by hand has `cpu: 1`, which is a number there.
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_quantities() {
        for (text, value) in [
            ("100m", 0.1),
            ("1", 1.0),
            ("1Gi", 1_073_741_824.0),
            ("1e3", 1000.0),
            ("250n", 2.5e-7),
            ("1E", 1e18),
            ("0", 0.0),
            (".5", 0.5),
            ("-1k", -1000.0),
        ] {
            let parsed = Quantity(text.to_owned()).value();
            assert!(parsed.is_some_and(|parsed| (parsed - value).abs() <= value.abs() * 1e-12), "{text}: {parsed:?}");
        }
        for text in ["", "m", "1x", "1 Gi", "1Kib", "abc"] {
            assert_eq!(Quantity(text.to_owned()).value(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = Quantity(text).value();
        }

        #[test]
        fn millis_are_thousandths(number in 0_u32..1_000_000) {
            let millis = Quantity(format!("{number}m")).value().expect("a quantity");
            prop_assert!((millis - f64::from(number) / 1000.0).abs() < 1e-9);
        }
    }
}
