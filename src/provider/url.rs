//! An `api_base` taken apart.

use http::uri::Uri;

/// An address of an upstream: what a connection needs, and the path that its API is under.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    pub(super) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host, with the port unless it is the scheme's own.
    pub(super) authority: String,
    /// Begins with `/` and does not end with one; empty for the root.
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl BaseUrl {
    /// Takes an `api_base` apart.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself: it might hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or("must begin with https:// or http://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("must begin with https:// or http://"),
        };
        if rest.contains('#') {
            return Err("must not have a part after #");
        }
        let uri: Uri = text.parse().map_err(|_| "is not a valid address")?;
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password; write an api_key or extra_headers");
        }
        let bracketed = authority.host();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("has no host");
        }
        let written_port = authority.as_str().strip_prefix(bracketed).unwrap_or_default();
        let own_port = if tls { 443 } else { 80 };
        let port = match written_port.strip_prefix(':') {
            None | Some("") => own_port,
            Some(digits) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or("has a port that is none")?
            }
        };
        let authority =
            if port == own_port { bracketed.to_owned() } else { format!("{bracketed}:{port}") };
        let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
        let path = segments.fold(String::new(), |path, segment| path + "/" + segment);
        let query = uri.query().filter(|query| !query.is_empty()).map(str::to_owned);
        Ok(Self { tls, host: host.to_owned(), port, authority, path, query })
    }

    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.as_deref()?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name && !value.is_empty()).then_some(value)
        })
    }

    /// The query without one of its parameters.
    pub(super) fn query_without(&self, name: &str) -> Option<String> {
        let rest: Vec<&str> = self
            .query
            .as_deref()?
            .split('&')
            .filter(|pair| pair.split('=').next() != Some(name))
            .collect();
        (!rest.is_empty()).then(|| rest.join("&"))
    }

    /// The address of `root` at this host, as it is shown: no credentials, no query.
    pub(super) fn shown(&self, root: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{root}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, tls, host, port, authority, path, query) in [
            ("https://a.example/v1", true, "a.example", 443, "a.example", "/v1", None),
            ("https://a.example:443/v1/", true, "a.example", 443, "a.example", "/v1", None),
            ("http://a.example:8000", false, "a.example", 8000, "a.example:8000", "", None),
            ("http://a.example:443/", false, "a.example", 443, "a.example:443", "", None),
            ("HTTP://127.0.0.1", false, "127.0.0.1", 80, "127.0.0.1", "", None),
            ("http://[::1]:8080/v1", false, "::1", 8080, "[::1]:8080", "/v1", None),
            ("https://[2001:db8::1]", true, "2001:db8::1", 443, "[2001:db8::1]", "", None),
            (" https://a.example//x//y/ ", true, "a.example", 443, "a.example", "/x/y", None),
            ("https://a.example/x?b=1&c", true, "a.example", 443, "a.example", "/x", Some("b=1&c")),
            ("https://a.example?", true, "a.example", 443, "a.example", "", None),
        ] {
            let expected = BaseUrl {
                tls,
                host: host.to_owned(),
                port,
                authority: authority.to_owned(),
                path: path.to_owned(),
                query: query.map(str::to_owned),
            };
            assert_eq!(BaseUrl::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for (text, part) in [
            ("api.openai.com/v1", "must begin with"),
            ("unix:///run/llm.sock", "must begin with"),
            ("ftp://a.example", "must begin with"),
            ("https://user:hunter2@a.example", "user name or password"),
            ("https://", "not a valid address"),
            ("https:///v1", "not a valid address"),
            ("https://a.example:0/", "port"),
            ("https://a.example:99999/", ""),
            ("https://a b.example/", "not a valid address"),
            ("https://a.example/#x", "after #"),
        ] {
            let problem = BaseUrl::parse(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
            assert!(!problem.contains("hunter2"));
        }
    }

    #[test]
    fn parameters_are_found_and_left_out() {
        let url = BaseUrl::parse("https://a.example/?x=1&api-version=2024-10-21&y=").unwrap();
        assert_eq!(url.parameter("api-version"), Some("2024-10-21"));
        assert_eq!(url.parameter("y"), None);
        assert_eq!(url.query_without("api-version").as_deref(), Some("x=1&y="));
        assert_eq!(url.query_without("other").as_deref(), Some("x=1&api-version=2024-10-21&y="));
    }
}
