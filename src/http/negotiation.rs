//! What a client accepts.

use hyper::{HeaderMap, header};

/// Whether the client names the `OpenMetrics` text format in a version that is written here. All others get the classic
/// format: Prometheus refuses a page whose content type promises another one.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    members(headers, header::ACCEPT).any(|member| {
        let mut parts = member.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        named && parts.all(|parameter| !is_zero_quality(parameter) && parameter != "version=0.0.1")
    })
}

/// Whether the client takes gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    members(headers, header::ACCEPT_ENCODING).any(|member| {
        let mut parts = member.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(is_zero_quality)
    })
}

fn members(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

fn is_zero_quality(parameter: &str) -> bool {
    let (name, quality) = parameter.split_once('=').unwrap_or_default();
    name.eq_ignore_ascii_case("q") && quality.parse::<f32>() == Ok(0.0)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("a header"));
        headers
    }

    #[test]
    fn open_metrics_only_where_it_is_named() {
        for (accept, wanted) in [
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
                true,
            ),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;version=0.0.1", false),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
            ("*/*", false),
        ] {
            assert_eq!(wants_open_metrics(&with(header::ACCEPT, accept)), wanted, "{accept}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }

    #[test]
    fn gzip_only_where_it_is_wanted() {
        for (encoding, wanted) in [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("identity", false)] {
            assert_eq!(accepts_gzip(&with(header::ACCEPT_ENCODING, encoding)), wanted, "{encoding}");
        }
    }
}
