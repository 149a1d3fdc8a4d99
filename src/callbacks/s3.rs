//! S3: each payload is an object by itself, under LiteLLM's keys.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method};
use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

use super::courier::{Delivery, Refused};
use super::post::{Client, Outcome};
use super::settings::Bucket;
use crate::identity::{Identities, Unsigned};

/// Objects that are written at once.
const AT_ONCE: usize = 8;
const JSON: &str = "application/json";
/// The longest part of a key that is somebody's alias, in characters.
const ALIAS_MAX: usize = 128;

/// Errors of status 400 that say nothing of the object: of who writes it, how it was signed or where to.
const FOR_NOW: [&str; 7] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "InvalidBucketName",
    "InvalidToken",
    "RequestTimeout",
    "TokenRefreshRequired",
];

/// What stands in a key as it is.
const KEPT: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Writes an object for each payload.
pub(super) async fn deliver(
    bucket: &Bucket,
    client: &Client,
    identities: &Arc<Identities>,
    payloads: Vec<Bytes>,
) -> Delivery {
    let mut all = Delivery::default();
    let mut payloads = payloads.into_iter();
    loop {
        let some: Vec<_> = payloads.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return all;
        }
        let writes = some.into_iter().map(|payload| put(bucket, client, identities, payload));
        let mut of_these = Delivery::default();
        join_all(writes).await.into_iter().for_each(|one| of_these.add(one));
        let took_none = of_these.sent == 0;
        all.add(of_these);
        if took_none {
            // Each further one would wait as long, or be refused as they were.
            if all.why.is_none() {
                all.why = all.refused.last().map(|last| last.why.clone());
            }
            all.left.extend(payloads);
            return all;
        }
    }
}

async fn put(
    bucket: &Bucket,
    client: &Client,
    identities: &Arc<Identities>,
    payload: Bytes,
) -> Delivery {
    let Some(url) = object(bucket, &payload) else {
        return Delivery::refused(Refused::of(&payload, "it is no payload", ""));
    };
    let authority = authority(&url);
    let unsigned = Unsigned {
        method: &Method::PUT,
        authority: &authority,
        path: url.path(),
        content_type: JSON,
        body: &payload,
    };
    let signed = match identities.authorise(&bucket.authorisation, &unsigned).await {
        Ok(signed) => signed,
        Err(failure) => return Delivery::left(vec![payload], failure.message, None),
    };
    let fixed = [
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("private, immutable, max-age=31536000, s-maxage=0"),
        ),
    ];
    let headers = signed.into_iter().chain(fixed);
    match client.send(Method::PUT, url.as_str(), headers, payload.clone()).await {
        Outcome::Taken(_) => Delivery::taken(1),
        Outcome::Refused(answer) => {
            let (status, code) = (answer.status.to_string(), code(&answer.body));
            if !FOR_NOW.contains(&&*code) {
                return Delivery::refused(Refused::of(&payload, &status, &code));
            }
            identities.refused(&bucket.authorisation);
            Delivery::left(vec![payload], format!("{status}: {code}"), None)
        }
        Outcome::NotNow(why, wait) => {
            if why.starts_with("401") || why.starts_with("403") {
                identities.refused(&bucket.authorisation);
            }
            Delivery::left(vec![payload], why, wait)
        }
    }
}

/// What S3 calls an error.
fn code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

/// What `Host` says.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Where a payload goes; `None`: it is none.
fn object(bucket: &Bucket, payload: &Bytes) -> Option<Url> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let key = key(bucket, &payload)?;
    format!("{}/{}", bucket.base, utf8_percent_encode(&key, &KEPT)).parse().ok()
}

fn key(bucket: &Bucket, payload: &Value) -> Option<String> {
    let metadata = &payload["metadata"];
    let alias = |wanted: bool, name: &str| {
        let alias = metadata[name].as_str().filter(|alias| wanted && !alias.is_empty())?;
        Some(folder(alias))
    };
    let team = alias(bucket.team_prefix, "user_api_key_team_alias");
    let of_key = alias(bucket.key_prefix, "user_api_key_alias");
    // Microseconds of today have 51 bits, so none is lost.
    let started = (payload["startTime"].as_f64()? * 1e6).round() as i64;
    let started = Timestamp::from_microsecond(started).ok()?.to_zoned(TimeZone::UTC);
    let id = payload["id"].as_str()?.replace('/', "_");
    let micros = started.subsec_nanosecond() / 1_000;
    let time = started.strftime("%Y-%m-%d/time-%H-%M-%S");
    let name = format!("{time}-{micros:06}_{id}.json");
    let path = Some(bucket.path.to_string()).filter(|path| !path.is_empty());
    let parts: Vec<String> = [path, team, of_key, Some(name)].into_iter().flatten().collect();
    Some(parts.join("/"))
}

/// An alias as one folder: it is no path that leads elsewhere.
fn folder(alias: &str) -> String {
    let plain = |c: char| if c == '/' || c.is_control() { '_' } else { c };
    let name: String = alias.chars().take(ALIAS_MAX).map(plain).collect();
    if name.chars().all(|c| c == '.') { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::{Authorisation, Aws, Identity, Scheme, Source};

    fn bucket(path: &str) -> Bucket {
        Bucket {
            base: "http://127.0.0.1:9000/logs".into(),
            path: path.into(),
            team_prefix: true,
            key_prefix: false,
            authorisation: Authorisation {
                identity: Arc::new(Identity::new(Source::Aws(Aws::default()))),
                scheme: Scheme::SigV4 { region: "us-east-1".into(), service: "s3" },
            },
        }
    }

    #[test]
    fn keys_are_litellms() {
        let payload = |team: &str| {
            let payload = json!({"id": "a/b", "startTime": 1_795_262_400.000_25,
                "metadata": {"user_api_key_team_alias": team, "user_api_key_alias": "k"}});
            Bytes::from(payload.to_string())
        };
        let at =
            |path: &str, team: &str| object(&bucket(path), &payload(team)).unwrap().to_string();
        let day = "2026-11-21/time-12-00-00-000250_a_b.json";
        assert_eq!(at("", ""), format!("http://127.0.0.1:9000/logs/{day}"));
        let expected = format!("http://127.0.0.1:9000/logs/gw/the%20team%2B/{day}");
        assert_eq!(at("gw", "the team+"), expected);
        assert!(at("", "..").contains("/logs/_/"), "{}", at("", ".."));
        assert!(at("", "a/../b").contains("/logs/a_.._b/"), "{}", at("", "a/../b"));
        assert!(object(&bucket(""), &Bytes::from_static(b"{}")).is_none());
    }

    #[test]
    fn an_error_is_known_by_its_code() {
        let said =
            b"<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>m</Message></Error>";
        assert!(FOR_NOW.contains(&&*code(said)), "a new token is to be had");
        assert_eq!(code(b"<Code>Entity"), "");
    }

    #[test]
    fn the_host_is_named_as_clients_name_it() {
        let of = |url: &str| authority(&url.parse().unwrap());
        assert_eq!(of("https://b.s3.eu-west-1.amazonaws.com/k"), "b.s3.eu-west-1.amazonaws.com");
        assert_eq!(of("http://127.0.0.1:9000/b/k"), "127.0.0.1:9000");
        assert_eq!(of("https://host:443/b"), "host");
    }
}
