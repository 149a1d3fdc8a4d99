//! Intake of what is no conversation: forms, and calls about things that a provider keeps.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use super::ctx::RequestCtx;
use super::error::GatewayError;
use super::intake::{bad, json};
use super::route::Kept;
use crate::catalog::Deployment;
use crate::dialect::Endpoint;
use crate::provider::Stored;
use crate::wire::form::{self, Form};
use crate::wire::json::Object;
use crate::wire::stored::Id;

/// Whose files are meant where nothing says so, as for LiteLLM.
const USUAL_PROVIDER: &str = "openai";

/// Parameters of a query that choose the deployment and are not for the provider.
const CHOOSES: [&str; 4] = ["custom_llm_provider", "provider", "model", "target_model_names"];

/// Reads the body: as a form if it is announced as one, else as JSON. What is only fetched or
/// removed has none.
pub(super) fn read(
    headers: &HeaderMap,
    body: Bytes,
    endpoint: Endpoint,
    kept: Option<&Kept<'_>>,
) -> Result<(Object, Option<Form>), GatewayError> {
    if kept.is_some_and(|kept| kept.method != Method::POST || kept.id.is_some()) {
        return Ok((Object::empty(), None));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default();
    let is_form = kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_form && kept.is_some() && endpoint == Endpoint::Files {
        return Err(bad("file", "A file is uploaded as a form (`multipart/form-data`)."));
    }
    if !is_form {
        return Ok((json(body)?, None));
    }
    let wrong =
        |message: String| GatewayError::BadBody { message, param: None, code: "invalid_form" };
    let boundary = form::boundary(kind).ok_or_else(|| {
        wrong(
            "The content type of a form must be `multipart/form-data` with a `boundary` of 1 to 70 \
             characters."
                .to_owned(),
        )
    })?;
    let form = Form::parse(&boundary, body)
        .map_err(|why| wrong(format!("The request body is not a form: {why}.")))?;
    Ok((form.fields(), Some(form)))
}

/// Looks for the file that an endpoint cannot do without.
pub(super) fn check(form: &Form, endpoint: Endpoint) -> Result<(), GatewayError> {
    match endpoint {
        Endpoint::ImageEdits | Endpoint::ImageVariations if !form.contains("image") => {
            Err(bad("image", "`image` must be a file of the form."))
        }
        // A place where the sound is to be had will do for some providers.
        Endpoint::Transcriptions | Endpoint::Translations
            if !form.has_file("file") && !form.contains("url") && !form.contains("file_url") =>
        {
            Err(bad("file", "`file` must be a file of the form."))
        }
        Endpoint::Files if !form.has_file("file") => {
            Err(bad("file", "`file` must be a file of the form."))
        }
        _ => Ok(()),
    }
}

/// Endpoints beside conversations whose reply `stream` makes a stream of events.
pub(super) const fn may_stream(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::ImageGenerations
            | Endpoint::ImageEdits
            | Endpoint::Transcriptions
            | Endpoint::Translations
    )
}

/// Finds out whose thing is meant: the name under which the catalog knows a deployment, or the
/// group that a file is for.
pub(super) fn kept(
    ctx: &RequestCtx,
    headers: &HeaderMap,
    query: &str,
    endpoint: Endpoint,
    kept: Kept<'_>,
    body: &Object,
) -> Result<(String, Stored), GatewayError> {
    let Kept { method, id, action } = kept;
    if endpoint == Endpoint::Files && method == Method::POST && !body.is_set("purpose") {
        return Err(bad("purpose", "`purpose` must be a field of the form."));
    }
    let query = Query::read(query);
    let own = id.as_deref().and_then(Id::read);
    let mut stored = Stored {
        method,
        id: match &own {
            Some(own) => Some(own.id.clone()),
            None => id.as_deref().map(Box::from),
        },
        action,
        query: query.rest.into(),
        group: None,
    };
    let of_file = body.str("input_file_id").and_then(|id| Id::read(&id));
    if let Some(id) = own.or(of_file).or(query.after) {
        return Ok((id.deployment.into(), stored));
    }
    let said = |name: &str| {
        let in_query = query.chooses.iter().find(|(other, _)| other == name);
        let written = in_query.map(|(_, value)| value.clone());
        written.or_else(|| body.str(name).map(Cow::into_owned)).filter(|text| !text.is_empty())
    };
    let group = said("target_model_names").or_else(|| said("model"));
    if let Some(group) = group {
        if group.contains(',') {
            let message =
                "`target_model_names` must name one model: a file is kept at one provider.";
            return Err(bad("target_model_names", message));
        }
        stored.group = Some(group.as_str().into());
        return Ok((group, stored));
    }
    let in_header = || headers.get("custom-llm-provider")?.to_str().ok().map(str::to_owned);
    let provider = said("custom_llm_provider").or_else(|| said("provider")).or_else(in_header);
    let deployments = ctx.snapshot.catalog.deployments();
    let of = |name: &str| deployments.iter().find(|it| *it.provider == *name);
    let has_api = |it: &Deployment| it.target.paths[endpoint.index()].is_some();
    let found = match &provider {
        Some(provider) => of(provider),
        None => of(USUAL_PROVIDER).or_else(|| deployments.iter().find(|it| has_api(it))),
    };
    match found {
        Some(deployment) => Ok((deployment.id.to_string(), stored)),
        None => {
            let name = provider.as_deref().unwrap_or(USUAL_PROVIDER);
            let name = crate::admin::shortened(name);
            let message = format!(
                "No deployment of the provider `{name}` is configured. Name one in \
                 `custom_llm_provider`, or a model in `target_model_names`."
            );
            Err(bad("custom_llm_provider", message))
        }
    }
}

/// The parameters of a query.
struct Query {
    chooses: Vec<(String, String)>,
    /// Where a list goes on, if the id is one of ours.
    after: Option<Id>,
    /// What is for the provider, as it was written.
    rest: String,
}

impl Query {
    fn read(written: &str) -> Self {
        let mut query = Self { chooses: Vec::new(), after: None, rest: String::new() };
        for pair in written.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value_text = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            let mut pair = Cow::Borrowed(pair);
            if CHOOSES.contains(&name) {
                query.chooses.push((name.to_owned(), value_text()));
                continue;
            }
            // Azure's SDK tells the version that it wants of the gateway.
            if name == "api-version" {
                continue;
            }
            if name == "after"
                && let Some(id) = Id::read(&value_text())
            {
                pair = Cow::Owned(format!("after={}", id.id));
                query.after = Some(id);
            }
            if !query.rest.is_empty() {
                query.rest.push('&');
            }
            query.rest.push_str(&pair);
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_for_the_gateway_or_for_the_provider() {
        let query = Query::read(
            "limit=2&custom_llm_provider=azure&&api-version=1&purpose=a%20b&model=x%2Fy",
        );
        assert_eq!(query.rest, "limit=2&purpose=a%20b");
        let named =
            |name: &str| query.chooses.iter().find(|(it, _)| it == name).map(|(_, it)| &**it);
        assert_eq!(named("custom_llm_provider"), Some("azure"));
        assert_eq!(named("model"), Some("x/y"));
        assert_eq!(Query::read("after=file-abc").rest, "after=file-abc");
    }
}
