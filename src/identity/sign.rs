//! AWS Signature Version 4 over one request.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as signed,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderName, HeaderValue, Method};

/// A request as it will be sent, as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    pub method: &'a Method,
    /// What `Host` will say.
    pub authority: &'a str,
    /// Path and query as they go out: percent-encoded once. AWS signs the path encoded once more, but
    /// for S3.
    pub path: &'a str,
    pub content_type: &'a str,
    pub body: &'a [u8],
}

/// The headers that a request needs beside those that it has.
///
/// # Errors
/// The request cannot be signed.
pub(super) fn sign(
    identity: &Identity,
    region: &str,
    service: &str,
    request: &Unsigned<'_>,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let problem = |error: &dyn std::fmt::Display| format!("the request cannot be signed: {error}");
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(settings(service))
        .build()
        .map_err(|error| problem(&error))?
        .into();
    let headers = [("content-type", request.content_type), ("host", request.authority)];
    let uri = format!("https://{}{}", request.authority, request.path);
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method.as_str(), uri, headers.into_iter(), body)
        .map_err(|error| problem(&error))?;
    let (instructions, _signature) =
        signed(signable, &params).map_err(|error| problem(&error))?.into_parts();
    let (headers, _query) = instructions.into_parts();
    headers
        .into_iter()
        .map(|header| {
            let mut value = HeaderValue::from_str(header.value()).map_err(|e| problem(&e))?;
            value.set_sensitive(true);
            Ok((HeaderName::from_static(header.name()), value))
        })
        .collect()
}

/// S3 signs the path as it is, and wants to know the body's hash.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;

    use super::*;

    const BODY: &[u8] = br#"{"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "inferenceConfig": {"maxTokens": 64}}"#;

    fn headers(session: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials =
            Credentials::new("AKIDEXAMPLE", secret, session.map(Into::into), None, "test");
        let request = Unsigned {
            method: &Method::POST,
            authority: "bedrock-runtime.us-east-1.amazonaws.com",
            path: "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            content_type: "application/json",
            body: BODY,
        };
        // 2026-11-21T12:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
        sign(&credentials.into(), "us-east-1", "bedrock", &request, now).unwrap()
    }

    fn value<'a>(headers: &'a [(HeaderName, HeaderValue)], name: &str) -> &'a str {
        headers.iter().find(|(other, _)| other == name).unwrap().1.to_str().unwrap()
    }

    #[test]
    fn a_request_has_the_signature_that_awss_own_sdk_makes() {
        let headers = headers(None);
        assert_eq!(value(&headers, "x-amz-date"), "20261121T120000Z");
        assert_eq!(
            value(&headers, "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=f2f3d7d06236c2b240b69bff17838345b9a12b80e56a01ebb2efd2b2ff3a9125"
        );
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let headers = headers(Some("session"));
        assert_eq!(value(&headers, "x-amz-security-token"), "session");
        assert!(value(&headers, "authorization").contains("x-amz-security-token"));
    }
}
