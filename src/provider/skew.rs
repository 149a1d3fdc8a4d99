//! Refusals of AWS that say that this machine's clock is wrong: signatures hold for five minutes.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode, header};

use super::text_of;

/// Names of the errors that speak of time alone.
const TIME: [&str; 2] = ["RequestTimeTooSkewed", "RequestExpired"];

/// Names of errors that may have other reasons, and what they say if it is the time.
const SIGNATURE: [&str; 3] =
    ["InvalidSignatureException", "SignatureDoesNotMatch", "InvalidSignature"];
const SAID: [&str; 3] = ["signature expired", "not yet current", "is not yet valid"];

/// The provider's time, if it refused a signed request because of the time in it.
#[must_use]
pub fn clock(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<SystemTime> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Refusal {
        #[serde(rename = "__type", alias = "code")]
        kind: String,
        #[serde(alias = "Message")]
        message: String,
    }

    if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        return None;
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let named = text_of(headers, "x-amzn-errortype").and_then(|text| text.split(':').next());
    let named = named.unwrap_or(&refusal.kind).rsplit('#').next().unwrap_or_default();
    let message = refusal.message.to_ascii_lowercase();
    let is_time = TIME.contains(&named)
        || SIGNATURE.contains(&named) && SAID.iter().any(|said| message.contains(said));
    if !is_time {
        return None;
    }
    httpdate::parse_http_date(text_of(headers, header::DATE.as_str())?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_refusal_for_its_time_tells_the_time() {
        const EXPIRED: &str = r#"{"message":"Signature expired: 20261121T115000Z is now earlier than 20261121T1200Z"}"#;
        const EARLY: &str = r#"{"message":"Signature not yet current: 20261121T1300Z"}"#;
        const WRONG: &str = r#"{"message":"The request signature we calculated does not match."}"#;
        let date = Some("Sat, 21 Nov 2026 12:00:00 GMT");
        for (status, kind, body, date, is_told) in [
            (403, "InvalidSignatureException", EXPIRED, date, true),
            (403, "InvalidSignatureException:http://internal.amazon.com/", EARLY, date, true),
            (403, "SignatureDoesNotMatch", EXPIRED, date, true),
            (403, "RequestTimeTooSkewed", "", date, true),
            (400, "RequestExpired", "{}", date, true),
            (403, "InvalidSignatureException", WRONG, date, false),
            (403, "AccessDeniedException", EXPIRED, date, false),
            (403, "InvalidSignatureException", EXPIRED, None, false),
            (403, "InvalidSignatureException", EXPIRED, Some("soon"), false),
            (429, "RequestTimeTooSkewed", "", date, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
            if let Some(date) = date {
                headers.insert(header::DATE, HeaderValue::from_static(date));
            }
            let status = StatusCode::from_u16(status).unwrap();
            let told = clock(status, &headers, body.as_bytes());
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
            assert_eq!(told, is_told.then_some(expected), "{status} {kind} {body}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, HeaderValue::from_static("Sat, 21 Nov 2026 12:00:00 GMT"));
        let body = br#"{"__type":"com.amazon.coral.service#RequestTimeTooSkewed"}"#;
        assert!(clock(StatusCode::FORBIDDEN, &headers, body).is_some());
    }
}
