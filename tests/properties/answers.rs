//! Whatever a provider answers: a reply that every client's dialect has words for, or a failure.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tollgate::dialect::ClientDialect;
use tollgate::provider;
use tollgate::wire::Origin;
use tollgate::wire::client::{self, Telling};

use crate::providers::{deployments, readings};

const CLIENTS: [ClientDialect; 3] =
    [ClientDialect::Anthropic, ClientDialect::Responses, ClientDialect::Gemini];

/// The longest message that is passed on, with what is put before it.
const MESSAGE_MAX: usize = 8 * 1024;

/// For every body, as a reply and as an error.
pub(crate) fn holds(input: &[u8]) {
    let created = 1_795_262_400;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(created);
    let body = Bytes::copy_from_slice(input);
    let origin =
        Origin { model: "m", request_id: Some("r"), input_tokens: None, output_tokens: None };
    let telling = Telling { created, model: "m", request_id: "r", ..Telling::default() };
    let is_json = serde_json::from_slice::<Value>(input).is_ok();
    for deployment in deployments() {
        for status in [200, 400, 404, 429, 500] {
            let failure = provider::classify(deployment, status, &HeaderMap::new(), input, now);
            assert!(!failure.message.is_empty(), "an error says something");
            assert!(failure.message.len() <= MESSAGE_MAX, "an error is not too long");
        }
        for reading in readings(deployment) {
            let reply = provider::reply(deployment, reading, body.clone(), created, &origin);
            let Ok(reply) = reply else { continue };
            if !is_json || reading.native.is_some() {
                continue;
            }
            let whole = serde_json::from_slice::<Value>(&reply.body);
            assert!(whole.is_ok(), "{}: {whole:?}", deployment.provider);
            for dialect in CLIENTS {
                let Ok(told) = client::reply(dialect, reply.body.clone(), &telling) else {
                    continue;
                };
                let told = serde_json::from_slice::<Value>(&told);
                assert!(told.is_ok(), "{} to {dialect:?}: {told:?}", deployment.provider);
            }
        }
    }
}
