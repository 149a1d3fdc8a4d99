//! Paths that would lead out of what stands behind a mount.
//!
//! The target's own path is the operator's word on what its key may be used for. What passes is sent
//! as the client wrote it.

use crate::gateway::error::GatewayError;
use crate::provider;

/// Refuses what stands behind a mount's path where it may be read as another path.
///
/// # Errors
/// It has a dot segment or a control character, or is no text.
pub(super) fn check(rest: &str) -> Result<(), GatewayError> {
    let Some(problem) = provider::ambiguity(rest) else { return Ok(()) };
    Err(GatewayError::BadBody {
        message: format!(
            "The path {problem}: a server could read it as another path than the one that is \
             passed on. Write it without."
        ),
        param: None,
        code: "invalid_path",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_climbs() {
        for rest in [
            "/..",
            "/.",
            "/../../v1/admin",
            "/a/./b",
            "/a/..",
            "/%2e%2e/%2e%2e/v1/admin",
            "/%2E%2E/x",
            "/%2e%2E/x",
            "/.%2e/x",
            "/%2E./x",
            "/%2e/x",
            "/..%2fv1",
            "/a%2F..%2Fv1",
            "/a%2f%2e%2e%2fv1",
            "/..%5cv1",
            "/a\\..\\v1",
            "/..;/v1",
            "/..;x=1/v1",
            "/%2e%2e%3b/v1",
            "/..%3fx",
            "/..%23x",
            "/..%20/v1",
            "/%252e%252e/v1",
            "/%252e%252e%252fv1",
            "/%25252e%25252e/v1",
            "/%2525252525252e/v1",
            "/%c0%ae%c0%ae/v1",
            "/%e0%80%ae%e0%80%ae/v1",
            "/a%c0%afb",
            "/a%00",
            "/..%00/v1",
            "/a%0d%0ahost:%20x",
            "/a%0A",
            "/a%250a",
            "/a%7f",
        ] {
            let refusal = check(rest).err().unwrap_or_else(|| panic!("{rest} is let through"));
            assert_eq!((refusal.status(), &*refusal.code()), (400, "invalid_path"), "{rest}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_let_through() {
        for rest in [
            "",
            "/",
            "/v1/files/a..b",
            "/.well-known/x",
            "/...",
            "/..a/b..",
            "/a//b/",
            "/https://example.com/x",
            "/model/arn%3Aaws%3Abedrock%3Ax%2Fy/invoke",
            "/models/gemini-2.5-flash:generateContent",
            "/a%20b/%E2%82%AC",
            "/100%25/%zz",
            "/a;b=.;c=..",
            "/%253A",
        ] {
            assert!(check(rest).is_ok(), "{rest}");
        }
    }
}
