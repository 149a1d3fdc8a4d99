//! What the translation does beyond the golden cases.

mod requests;
mod settings;
mod streams;
mod vectors;

use bytes::Bytes;
use serde_json::Value;

use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::json::Object;

const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

/// How requests are sent in a test.
#[derive(Clone, Copy)]
struct With<'a> {
    model: &'a str,
    drop_params: bool,
    modify_params: bool,
    endpoint: Endpoint,
}

impl Default for With<'_> {
    fn default() -> Self {
        let endpoint = Endpoint::Chat;
        Self { model: CLAUDE, drop_params: false, modify_params: false, endpoint }
    }
}

impl With<'_> {
    fn send(self, body: &Value) -> Result<Value, Failure> {
        let options = RequestOptions {
            model: None,
            drop_params: self.drop_params,
            modify_params: self.modify_params,
            ..RequestOptions::plain(self.endpoint, self.model)
        };
        let object = Object::parse(Bytes::from(body.to_string())).unwrap();
        let sent = super::request(&object, &options)?;
        Ok(serde_json::from_slice(&sent).unwrap())
    }
}

fn to(model: &str) -> With<'_> {
    With { model, ..With::default() }
}
