//! Whatever a client sends, in any dialect and for any provider: a body that is JSON goes out, or the
//! client is told what is wrong with its own.

use bytes::Bytes;
use serde_json::Value;
use tollgate::dialect::{ClientDialect, Endpoint};
use tollgate::failure::{Failure, FailureClass};
use tollgate::provider::{self, Call, Native};
use tollgate::wire::client::{self, Asked};
use tollgate::wire::json::Object;

use crate::providers::deployments;

const CLIENTS: [ClientDialect; 4] = [
    ClientDialect::OpenAi,
    ClientDialect::Anthropic,
    ClientDialect::Responses,
    ClientDialect::Gemini,
];

/// For every body.
pub(crate) fn holds(input: &[u8]) {
    let Ok(body) = Object::parse(Bytes::copy_from_slice(input)) else { return };
    let asked =
        Asked { model: Some("m"), stream: Some(input.len().is_multiple_of(2)), ..Asked::default() };
    for dialect in CLIENTS {
        let canonical = match client::request(dialect, &body, asked) {
            Ok(canonical) => canonical,
            Err(failure) => {
                told(&failure, input);
                continue;
            }
        };
        if serde_json::from_slice::<Value>(canonical.body.bytes()).is_err() {
            // What is not looked at is passed on as it came, and may be no JSON all the way down.
            assert!(serde_json::from_slice::<Value>(input).is_err(), "{dialect:?} made it");
            continue;
        }
        let native = Native {
            dialect,
            body: &body,
            obstacle: &canonical.obstacle,
            headers: &[],
            resource: None,
        };
        for deployment in deployments() {
            for lenient in [false, true] {
                let call = Call {
                    model: &deployment.model,
                    endpoint: Endpoint::Chat,
                    stream: input.len().is_multiple_of(2),
                    overrides: &[],
                    drop_params: lenient,
                    modify_params: lenient,
                    native: (dialect != ClientDialect::OpenAi).then_some(native),
                    form: None,
                    stored: None,
                };
                match provider::request(deployment, &canonical.body, &call) {
                    Ok(sent) => {
                        let sent = serde_json::from_slice::<Value>(&sent.body);
                        assert!(sent.is_ok(), "{dialect:?} to {}: {sent:?}", deployment.provider);
                    }
                    Err(failure) => told(&failure, input),
                }
            }
        }
    }
}

fn told(failure: &Failure, input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    assert_eq!(failure.class, FailureClass::BadRequest, "{}: {input}", failure.message);
    assert!(!failure.message.is_empty(), "{input}");
}
