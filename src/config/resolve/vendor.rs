//! Which provider a deployment calls, and with what credentials.

use super::Context;
use super::clouds;
use super::fleet::{self, Weighted};
use super::router::AttemptDefaults;
use crate::catalog::Balance;
use crate::config::deployments;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::provider::{self, CloudOptions, Support, Vendor};
use crate::secret::Secret;

/// Address and credentials of a deployment, as written or from the provider's variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) api_base: Option<Box<str>>,
    /// All of them, where several are written; the first is `api_base`.
    pub(crate) fleet: Vec<Weighted>,
    pub(crate) balance: Balance,
    pub(crate) api_key: Option<Secret>,
    pub(crate) cloud: CloudOptions,
    pub(crate) api_version: Option<Box<str>>,
    pub(crate) azure_ad_token: Option<Secret>,
    pub(crate) organization: Option<Box<str>>,
    /// `None`: the system's authorities. `Some("false")` and a file's name are told apart below.
    pub(crate) ssl_verify: Option<Box<str>>,
    pub(crate) http2: Option<bool>,
}

impl Access {
    /// The key or token that is sent.
    pub(super) fn api_key(&self) -> Option<&str> {
        self.api_key.as_ref().or(self.azure_ad_token.as_ref()).map(Secret::expose)
    }

    /// Whether certificates are checked.
    pub(crate) fn verify_tls(&self) -> bool {
        !self.ssl_verify.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("false"))
    }

    /// The PEM file of the authorities to trust.
    pub(crate) fn ca_file(&self) -> Option<&str> {
        let text = self.ssl_verify.as_deref()?;
        (!matches!(text.to_ascii_lowercase().as_str(), "true" | "false")).then_some(text)
    }
}

/// The same for a provider that the file describes.
pub(super) fn described(
    params: &mut Section<'_>,
    model: Option<At<&str>>,
    name: &str,
) -> Option<(&'static Vendor, Box<str>)> {
    params.entry("custom_llm_provider");
    let At { value: model, spot } = model?;
    let model = model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
    if model.is_empty() {
        params.problems.push(Finding::error(spot, format!("`{name}/` names no model")));
        return None;
    }
    Some((&provider::CUSTOM, model.into()))
}

/// The provider, and the model without its prefix.
pub(super) fn recognise(
    params: &mut Section<'_>,
    model: Option<At<&str>>,
    group: At<&str>,
) -> Option<(&'static Vendor, Box<str>)> {
    let problems = params.problems;
    let chosen = params.text("custom_llm_provider");
    let At { value: model, spot } = model?;
    if model == "*" && chosen.is_none() {
        problems.push(
            Finding::warning(spot, "`model: \"*\"` names no provider: OpenAI is called")
                .help("write one entry for each: `model_name: openai/*` with `model: openai/*`"),
        );
    }
    if model.contains('*') && !group.value.contains('*') && !group.value.is_empty() {
        problems.push(Finding::error(spot, format!("nothing fills the `*` of `{model}`")).help(
            format!("`model_name` has no `*`: write `model_name: {model}`, or name the model"),
        ));
        return None;
    }
    if let Some(At { value: name, spot }) = chosen {
        let Some(vendor) = provider::vendor(name) else {
            let finding = unknown_provider(name, spot);
            problems.push(finding);
            return None;
        };
        let prefix = format!("{name}/");
        let model = model.strip_prefix(&prefix).unwrap_or(model).into();
        return available((vendor, model), spot, problems);
    }
    match provider::recognise(model) {
        Some((_, "")) => {
            problems.push(Finding::error(spot, format!("`{model}` names no model")));
            None
        }
        Some((vendor, model)) => available((vendor, model.into()), spot, problems),
        None => {
            problems.push(unrecognised(model, spot, params.has("api_base")));
            None
        }
    }
}

/// `own_server`: an address is written, so a prefix that no provider has is likely the model's own.
fn unrecognised(model: &str, spot: Spot, own_server: bool) -> Finding {
    match model.split_once('/') {
        Some((prefix, rest)) => {
            let near = nearest(prefix, deployments::vendor_names());
            let message = format!("`{prefix}` is not a provider");
            let help = match near.filter(|(_, score)| *score >= 0.7 && !own_server) {
                Some((near, _)) => format!("did you mean `{near}/{rest}`?"),
                None => format!(
                    "write `openai/{model}` and `api_base:` for a server that speaks OpenAI's API"
                ),
            };
            Finding::error(spot, message).help(help)
        }
        None => Finding::error(
            spot,
            format!("the provider of `{model}` cannot be told from its name"),
        )
        .help(format!(
            "write `openai/{model}`, `azure/{model}` or `anthropic/{model}`; with `api_base:`, \
                 `openai/` is for every server that speaks OpenAI's API"
        )),
    }
}

fn unknown_provider(name: &str, spot: Spot) -> Finding {
    let near = nearest(name, deployments::vendor_names());
    Finding::error(spot, format!("`{name}` is not a provider"))
        .maybe_help(near.map(|(near, _)| format!("did you mean `{near}`?")))
}

/// The provider, if this version calls it.
fn available(
    served: (&'static Vendor, Box<str>),
    spot: Spot,
    problems: &Problems,
) -> Option<(&'static Vendor, Box<str>)> {
    let served = (served.0.of_model(&served.1), served.1);
    if served.0.support == Support::NotYet {
        let mut message =
            format!("the provider `{}` is not available in this version", served.0.name);
        if let Some(reason) = provider::why_not(served.0.name) {
            message.push_str(": ");
            message.push_str(reason);
        }
        let help = "remove the deployment, or set `ignore_invalid_deployments: true` under \
                    `router_settings` to leave it out";
        problems.push(Finding::error(spot, message).help(help));
        return None;
    }
    Some(served)
}

/// Address and credentials. `None`: a key is missing, and that has been reported.
pub(super) fn access(
    params: &mut Section<'_>,
    context: &Context<'_>,
    defaults: &AttemptDefaults,
    served: Option<&(&'static Vendor, Box<str>)>,
) -> Option<Access> {
    let boxed = |at: At<&str>| -> Box<str> { at.value.into() };
    let mut fleet = fleet::addresses(params);
    let balance = fleet::balance(params, fleet.len());
    let base = fleet.first().map(|(url, _)| url.clone());
    if fleet.len() < 2 {
        fleet.clear();
    }
    let version = params.text("api_version").map(boxed);
    let token = params.text("azure_ad_token").map(|at| Secret::new(at.value));
    let ssl_verify = params.text("ssl_verify").map(boxed).or_else(|| defaults.ssl_verify.clone());
    let ssl_verify = ssl_verify.map(|text| match text.to_ascii_lowercase().as_str() {
        "true" | "false" => text,
        _ => context.file(&text),
    });
    let http2 = params.flag("http2").map(|at| at.value);
    let clouds = clouds::Written::read(params);
    // Marked as read even if there is nothing to check it against.
    let key = params.entry("api_key");
    let (vendor, _) = served?;
    if key.is_none() && params.has("api_key") {
        return None;
    }
    let from_env = |names: &[&str]| {
        names.iter().find_map(|name| Some(((*name).to_owned(), context.var(name)?)))
    };
    let base = base.or_else(|| clouds.endpoint(vendor));
    let own_base = base.is_some();
    let base = base.or_else(|| from_env(vendor.base_vars).map(|(_, base)| base.into()));
    let api_key = match key {
        Some(entry) => match entry.node.text().map(str::trim) {
            Some("") | None if vendor.needs_key && token.is_none() => {
                let message = "`api_key` is empty";
                let help = key_help(vendor);
                params.problems.push(Finding::error(entry.value_spot(), message).help(help));
                return None;
            }
            Some("") | None => None,
            Some(text) => Some(Secret::new(text)),
        },
        // Whether the provider can do without one is its own affair.
        // What the deployment writes itself goes before a key of the environment.
        None if params.has("tenant_id") && params.has("client_secret") => None,
        None => match from_env(vendor.key_vars) {
            Some((variable, key)) => {
                if let Some(host) = base.as_deref().filter(|_| own_base).and_then(host) {
                    warn_of_foreign_host(params, vendor, host, &variable);
                }
                params.problems.keep_secret(&key);
                Some(Secret::new(key))
            }
            None => None,
        },
    };
    let has_key = api_key.is_some() || token.is_some();
    Some(Access {
        cloud: clouds.resolve(vendor, has_key, params, context),
        api_base: base,
        fleet,
        balance,
        api_key,
        api_version: version,
        azure_ad_token: token,
        organization: None,
        ssl_verify,
        http2,
    })
}

fn key_help(vendor: &Vendor) -> String {
    let variable = vendor.key_vars.first().copied().unwrap_or("MY_API_KEY");
    format!("write `api_key: os.environ/{variable}`; for a server that asks for none, any text")
}

/// A key that the file does not mention is about to be sent to an address that the file chose.
fn warn_of_foreign_host(params: &Section<'_>, vendor: &Vendor, host: &str, variable: &str) {
    let foreign =
        vendor.needs_key && vendor.base_url.and_then(self::host).is_some_and(|own| own != host);
    if foreign {
        params.problems.push(
            Finding::warning(
                params.spot_of("api_base"),
                format!("the key in `{variable}` is sent to `{host}`"),
            )
            .help(format!("write `api_key: os.environ/{variable}` if that is meant")),
        );
    }
}

fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next().filter(|host| !host.is_empty())
}
