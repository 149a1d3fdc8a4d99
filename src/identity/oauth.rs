//! A token from an OAuth token endpoint.

use std::time::Duration;

use serde::Deserialize;

use super::fresh::Fresh;
use super::http::{BOUNDS, Client};
use crate::outbound::{Failed, ask, line};

/// What is assumed where an endpoint does not say how long its token holds.
const USUAL_LIFE: u64 = 3600;

/// The longest life that is believed: clocks are changed, keys are taken back.
const LIFE_MAX: u64 = 24 * 3600;

/// How much of an endpoint's own words is told.
const WORDS_MAX: usize = 300;

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// Posts a form and reads the token from the answer.
///
/// # Errors
/// What went wrong, in the endpoint's words where it has some; without any of the form's values.
pub(super) async fn token(
    client: &Client,
    url: &str,
    form: &[(&str, &str)],
) -> Result<Fresh, String> {
    let (client, url) =
        client.to(url).map_err(|problem| format!("the token endpoint: {problem}"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let told = |problem: String| format!("the token endpoint {host}: {problem}");
    let failed = |failed: Failed| told(failed.to_string());
    let answer = ask(client.post(url).form(form), BOUNDS).await.map_err(failed)?;
    let (status, body) = (answer.status, answer.body.map_err(failed)?);
    if !status.is_success() {
        let words = match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error, error_description: Some(more) }) => format!(": {error}: {more}"),
            Ok(Refusal { error, error_description: None }) => format!(": {error}"),
            Err(_) => String::new(),
        };
        let words = line(&words, WORDS_MAX);
        return Err(told(format!("it answered {}{words}", status.as_u16())));
    }
    let token: Token = serde_json::from_slice(&body)
        .map_err(|_| told("it answered without a token".to_owned()))?;
    let life = match &token.expires_in {
        // Some write the number as a text.
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
        None => None,
    };
    let life = life.unwrap_or(USUAL_LIFE).min(LIFE_MAX);
    Fresh::bearer(&token.access_token, Duration::from_secs(life))
}
