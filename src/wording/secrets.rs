//! Credentials in the texts of other programs: an error may quote the request that failed.

/// Shorter ones are no tokens.
const SHORTEST_TOKEN: usize = 20;

/// The text with `***` in place of credentials; `None` where it holds none. A word is a credential that begins as a JSON Web
/// Token does, that follows `Bearer` or `Basic`, or that stands before the `@` of an address.
pub fn masked(text: &str) -> Option<String> {
    let is_end = |character: char| character.is_whitespace() || "\"'`,;()<>[]{}\\".contains(character);
    let mut masked = String::new();
    let mut found = false;
    let mut after_scheme = false;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let gap = behind.len() - behind.trim_start_matches(is_end).len();
        let secret = if after_scheme && word.len() >= SHORTEST_TOKEN {
            Some(0)
        } else {
            word.find("eyJ").filter(|begin| word.len() - begin >= SHORTEST_TOKEN)
        };
        let user_info = word.find("://").map(|scheme| scheme + 3).and_then(|begin| {
            let host = word[begin..].split('/').next().unwrap_or("");
            host.rfind('@').filter(|at| host[..*at].contains(':')).map(|at| (begin, begin + at))
        });
        match (secret, user_info) {
            (Some(begin), _) => masked.extend([&word[..begin], "***"]),
            (None, Some((begin, at))) => masked.extend([&word[..begin], "***", &word[at..]]),
            (None, None) => masked.push_str(word),
        }
        found |= secret.is_some() || user_info.is_some();
        after_scheme = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
        masked.push_str(&behind[..gap]);
        rest = &behind[gap..];
    }
    found.then_some(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_told() {
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJl";
        for (given, shown) in [
            (format!("Authorization: Bearer {token}"), "Authorization: Bearer ***"),
            (format!("token=\"{token}\" refused"), "token=\"***\" refused"),
            (format!("?access_token={token}&x"), "?access_token=***"),
            ("bearer 0123456789abcdef0123456789".to_owned(), "bearer ***"),
            (
                "proxy http://user:secret@proxy.shop:3128/ refused".to_owned(),
                "proxy http://***@proxy.shop:3128/ refused",
            ),
            ("no bearer token given; see https://a/b@c:d".to_owned(), "no bearer token given; see https://a/b@c:d"),
        ] {
            assert_eq!(masked(&given).unwrap_or(given), shown);
        }
    }
}
