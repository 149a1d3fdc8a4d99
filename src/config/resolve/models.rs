//! `model_list`: each entry becomes the draft of one deployment, or of one per organization.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::names::Names;
use super::router::{AttemptDefaults, RETRIES_MAX};
use super::vendor::{self, Access};
use super::{
    Context, CustomProvider, RateLimits, Sections, checks, credentials, params, providers, quota,
};
use crate::catalog::{Capabilities, Capability, HealthCheck, ModelInfo, Timeouts};
use crate::config::mask;
use crate::config::options::{ENTRY, LITELLM_PARAMS, MODEL_INFO};
use crate::config::problem::{Finding, LEFT_OUT, Problems, Spot, nearest};
use crate::config::section::{At, Section, first};
use crate::config::yaml::{Entry, Node, Scalar, Value};
use crate::dialect::{CachePoint, ResponsesApi};
use crate::provider::{TargetProblem, Vendor};
use crate::spend::Budget;

/// A deployment before its address and price are worked out.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) place: Place,
    pub(crate) id: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) vendor: &'static Vendor,
    /// Without the provider prefix.
    pub(crate) model: Box<str>,
    pub(crate) access: Access,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) weight: Option<f64>,
    pub(crate) order: Option<i64>,
    pub(crate) rpm: Option<u64>,
    pub(crate) tpm: Option<u64>,
    pub(crate) max_parallel_requests: Option<u32>,
    pub(crate) budget: Option<Budget>,
    /// Who looks at requests that it may serve, and where that is written.
    pub(crate) guardrails: Vec<(Arc<str>, Spot)>,
    pub(crate) check: Option<HealthCheck>,
    pub(crate) timeouts: Timeouts,
    pub(crate) num_retries: Option<u32>,
    pub(crate) cooldown: Option<Duration>,
    pub(crate) defaults: Vec<(Box<str>, Box<RawValue>)>,
    pub(crate) drop_params: Vec<Box<str>>,
    pub(crate) allowed_params: Vec<Box<str>>,
    pub(crate) drops_refused: Option<bool>,
    pub(crate) cache_points: Vec<CachePoint>,
    pub(crate) tags: Vec<Box<str>>,
    pub(crate) silent_model: Option<At<Arc<str>>>,
    /// What is written of the Responses API; `None`: the address tells.
    pub(crate) responses: Option<ResponsesApi>,
    pub(crate) passes_through: bool,
    /// The provider, if the file describes it.
    pub(crate) custom: Option<Arc<CustomProvider>>,
    /// Without price; limits only where they are written.
    pub(crate) info: ModelInfo,
    /// Prices in USD under the names that they have in the file.
    pub(crate) prices: serde_json::Map<String, serde_json::Value>,
}

/// Where the options of a deployment are written.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    model: Spot,
    /// The variable that usually holds the provider's key.
    key_var: Option<&'static str>,
    options: Vec<(Box<str>, Spot)>,
}

impl Place {
    /// The problem that the provider has with this deployment, at the option that it is about.
    pub(crate) fn refused(&self, problem: &TargetProblem, lenient: bool) -> Finding {
        let (spot, help) = self.about(problem);
        let message = mask::line(&problem.message);
        let finding = if lenient {
            Finding::warning(spot, format!("{message}{LEFT_OUT}"))
        } else {
            Finding::error(spot, message)
        };
        finding.maybe_help(help)
    }

    /// What the provider remarks on this deployment.
    pub(crate) fn remark(&self, remark: &TargetProblem) -> Finding {
        let (spot, help) = self.about(remark);
        Finding::warning(spot, mask::line(&remark.message)).maybe_help(help)
    }

    fn about(&self, problem: &TargetProblem) -> (Spot, Option<String>) {
        let same = |name: &str| {
            name == problem.option || (name == "base_url" && problem.option == "api_base")
        };
        match self.options.iter().find(|(name, _)| same(name)) {
            Some((_, spot)) => (*spot, None),
            None => {
                let line = match (problem.option, self.key_var) {
                    ("api_key", Some(variable)) => format!("api_key: os.environ/{variable}"),
                    (option, _) => format!("{option}:"),
                };
                (self.model, Some(format!("add `{line}` beside `model`")))
            }
        }
    }
}

/// The names of an entry, kept even if the entry has errors.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) group: Arc<str>,
    pub(crate) id: Option<Arc<str>>,
    /// `provider/model`.
    pub(crate) upstream: Option<String>,
    spot: Spot,
}

/// The whole list.
pub(crate) struct Models {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) entries: Vec<Named>,
    /// Faulty deployments are left out with a warning (`ignore_invalid_deployments`).
    pub(crate) lenient: bool,
}

/// What all entries are read with.
pub(super) struct Shared<'a> {
    context: &'a Context<'a>,
    defaults: &'a AttemptDefaults,
    checks: checks::Defaults,
    pub(super) rate_limits: &'a RateLimits,
    credentials: Vec<credentials::Credential<'a>>,
    custom: Vec<Arc<CustomProvider>>,
}

impl<'a> Shared<'a> {
    pub(super) fn read(
        sections: &mut Sections<'a>,
        context: &'a Context<'a>,
        defaults: &'a AttemptDefaults,
        checks: checks::Defaults,
        rate_limits: &'a RateLimits,
    ) -> Self {
        let credentials = credentials::read(sections);
        let custom = providers::read(sections);
        Self { context, defaults, checks, rate_limits, credentials, custom }
    }

    /// The draft of a deployment of which only the name is known, and its names. Problems with it
    /// are at `spot`.
    pub(super) fn implied(
        &self,
        name: &str,
        spot: Spot,
        problems: &Problems,
    ) -> Option<(Draft, Vec<Named>)> {
        let text = |text: &str| Node { spot, value: Value::Scalar(Scalar::new(text, false)) };
        let map = |entries: Vec<(&str, Node)>| {
            let entries =
                entries.into_iter().map(|(key, node)| Entry { key: key.into(), spot, node });
            Node { spot, value: Value::Map(entries.collect()) }
        };
        let params = map(vec![("model", text(name))]);
        let item = map(vec![("model_name", text(name)), ("litellm_params", params)]);
        let mut named = Vec::new();
        let draft = deployment(&item, self, problems, &mut named).pop()?;
        Some((draft, named))
    }
}

pub(super) fn read(sections: &mut Sections<'_>, shared: &Shared<'_>) -> Models {
    let problems = shared.context.problems;
    let lenient = sections.router.flag("ignore_invalid_deployments").is_some_and(|at| at.value);
    let mut models = Models { drafts: Vec::new(), entries: Vec::new(), lenient };
    let Some(entry) = sections.top.entry("model_list") else { return models };
    let Some(items) = entry.node.list() else {
        let message = format!("`model_list` must be a list, found {}", entry.node.found(""));
        let help = "begin each deployment with `- model_name: ...`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return models;
    };
    if items.is_empty() {
        problems
            .push(Finding::warning(entry.spot, "`model_list` is empty: no model can be called"));
    }
    for item in items {
        let own = Problems::default();
        let drafts = deployment(item, shared, &own, &mut models.entries);
        // What a missing variable would have said is unknown, so its consequences are not judged.
        let faulty = own.has_errors() || item.is_unresolved();
        problems.absorb(own, lenient);
        if !faulty {
            models.drafts.extend(drafts);
        }
    }
    unique_ids(&mut models, problems);
    models
}

/// One entry. What it yields is used only if it has no problems.
fn deployment(
    item: &Node,
    shared: &Shared<'_>,
    problems: &Problems,
    entries: &mut Vec<Named>,
) -> Vec<Draft> {
    let mut entry = Section::new(&ENTRY, item, item.spot, problems);
    let group = entry.text("model_name");
    let written = entry.entry("litellm_params");
    let mut info = entry.section("model_info", &MODEL_INFO);
    let info_node = entry.written("model_info").map(|entry| &entry.node);
    for (name, missing, help) in [
        ("model_name", group.is_none(), "add `model_name:`, the name that clients ask for"),
        ("litellm_params", written.is_none(), "add `litellm_params:` with the `model:` to call"),
    ] {
        if missing && item.map().is_some() && !entry.has(name) {
            let message = format!("this deployment has no `{name}`");
            problems.push(Finding::error(item.spot, message).help(help));
        }
    }
    entry.finish();
    let id = info.text("id");
    if let Some(group) = group {
        entries.push(Named {
            group: group.value.into(),
            id: id.map(|at| at.value.into()),
            upstream: None,
            spot: id.map_or(group.spot, |at| at.spot),
        });
    }
    let Some(written) = written else { return Vec::new() };
    if written.node.map().is_none() {
        Section::new(&LITELLM_PARAMS, &written.node, written.spot, problems);
        return Vec::new();
    }
    let all = credentials::apply(written.node.map().unwrap_or(&[]), &shared.credentials, problems);
    let (all, custom) = providers::apply(all, &shared.custom);
    let all = Node { spot: written.node.spot, value: Value::Map(all) };
    let mut section = Section::new(&LITELLM_PARAMS, &all, written.spot, problems);
    let model = section.text("model");
    if model.is_none() && !section.has("model") {
        problems.push(
            Finding::error(written.spot, "`litellm_params` has no `model`")
                .help("add `model: provider/model`, for example `model: openai/gpt-4o`"),
        );
    }
    // Without a name the entry is still read, so that all its problems are known.
    let name = group.unwrap_or(At { value: "", spot: item.spot });
    let served = match &custom {
        Some(custom) => vendor::described(&mut section, model, &custom.name),
        None => vendor::recognise(&mut section, model, name),
    };
    if let (Some(named), Some((vendor, model)), Some(_)) = (entries.last_mut(), &served, group) {
        let provider = custom.as_ref().map_or(vendor.name, |custom| &custom.name);
        named.upstream = Some(format!("{provider}/{model}"));
    }
    let name = name.value.into();
    draft(section, info, info_node, shared, Head { name, id, served, model, all: &all, custom })
}

/// What is known of an entry before its options are read one by one.
struct Head<'a> {
    name: Arc<str>,
    id: Option<At<&'a str>>,
    served: Option<(&'static Vendor, Box<str>)>,
    model: Option<At<&'a str>>,
    all: &'a Node,
    custom: Option<Arc<CustomProvider>>,
}

fn draft(
    mut params: Section<'_>,
    mut info: Section<'_>,
    info_node: Option<&Node>,
    shared: &Shared<'_>,
    head: Head<'_>,
) -> Vec<Draft> {
    let problems = params.problems;
    let organizations = params.texts("organization").unwrap_or_default();
    let access = vendor::access(&mut params, shared.context, shared.defaults, head.served.as_ref());
    let headers = params::headers(&mut params);
    let weight = first([params.number("weight"), info.number("weight")]);
    let order = first([params.integer("order"), info.integer("order")]);
    let cooldown = first([info.seconds("cooldown_time"), params.seconds("cooldown_time")]);
    let tags = first([params.texts("tags"), info.texts("tags")]);
    let check = checks::of(&mut info, shared.checks);
    let (rpm, tpm) = (params.positive("rpm"), params.positive("tpm"));
    let parallel = params.count("max_parallel_requests", u32::MAX);
    let (request, stream) = (params.timeout("timeout"), params.timeout("stream_timeout"));
    let budget = quota::budget(&mut params);
    let guardrails = params.texts("guardrails").unwrap_or_default().into_iter();
    let guardrails: Vec<(Arc<str>, Spot)> =
        guardrails.map(|at| (at.value.into(), at.spot)).collect();
    let num_retries = params.count("num_retries", RETRIES_MAX);
    let drop_params = params.texts("additional_drop_params");
    let allowed_params = params.texts("allowed_openai_params");
    let drops_refused = params.flag("drop_params").map(|at| at.value);
    let cache_points = params.entry("cache_control_injection_points");
    let cache_points = params::cache_points(cache_points, problems);
    let silent_model =
        params.text("silent_model").map(|at| At { value: Arc::from(at.value), spot: at.spot });
    let passes_through = params.flag("use_in_pass_through").is_some_and(|at| at.value);
    params.entry("litellm_credential_name");
    let chat_only = params.flag("use_chat_completions_api").map(|at| at.value);
    let extra_body = params.entry("extra_body");
    // Prices are read by their form, whatever their names; these two stand for all in the table.
    for name in ["input_cost_per_token", "output_cost_per_token"] {
        params.entry(name);
        info.entry(name);
    }
    info.entry("cost_per_1k_input_tokens");
    info.entry("cost_per_1k_output_tokens");
    let metadata = params.entry("metadata");
    let region = params.text("region_name").map(|at| at.value.into());
    let base_model = params.text("base_model").map(|at| at.value.into());
    let model_info = model_info(&mut info, info_node, metadata);
    let base_model = model_info.base_model.clone().or(base_model);
    let model_info = ModelInfo { region, base_model, ..model_info };
    info.finish();
    let responses = responses_api(chat_only, &model_info, &head);
    let mut prices = serde_json::Map::new();
    for entries in [head.all.map(), info_node.and_then(Node::map)].into_iter().flatten() {
        params::prices(entries, &mut prices, problems);
    }
    let options = head.all.map().unwrap_or(&[]).iter();
    let place = Place {
        model: head.model.map_or(params.spot, |at| at.spot),
        key_var: head.served.as_ref().and_then(|(vendor, _)| vendor.key_vars.first().copied()),
        options: options.map(|entry| (entry.key.clone(), entry.value_spot())).collect(),
    };
    let defaults = params::defaults(&params.finish(), extra_body, problems);

    let (Some((vendor, model)), Some(access)) = (head.served, access) else { return Vec::new() };
    let boxed = |texts: Option<Vec<At<&str>>>| -> Vec<Box<str>> {
        texts.unwrap_or_default().into_iter().map(|at| at.value.into()).collect()
    };
    let (drop_params, tags) = (boxed(drop_params), boxed(tags));
    let allowed_params = boxed(allowed_params);
    let fallback = shared.defaults.timeouts;
    let one = |organization: Option<&str>, suffix: Option<usize>| {
        let mut access = access.clone();
        access.organization = organization.map(Into::into);
        let id = match (head.id, suffix) {
            (Some(id), None) => id.value.into(),
            (Some(id), Some(n)) => format!("{}-{n}", id.value).into(),
            (None, _) => stable_id(&head.name, head.all, &access),
        };
        Draft {
            place: place.clone(),
            id,
            group: Arc::clone(&head.name),
            vendor,
            model: model.clone(),
            headers: headers.clone(),
            weight: weight.map(|at| at.value),
            order: order.map(|at| at.value),
            rpm: rpm.map(|at| at.value),
            tpm: tpm.map(|at| at.value),
            max_parallel_requests: parallel.map(|at| at.value).filter(|value| *value > 0),
            budget,
            guardrails: guardrails.clone(),
            check: check.clone(),
            timeouts: Timeouts {
                request: request.map(|at| at.value).or(fallback.request),
                stream: stream.map(|at| at.value).or(fallback.stream),
            },
            num_retries: num_retries.map(|at| at.value),
            cooldown: cooldown.map(|at| at.value),
            defaults: defaults.clone(),
            drop_params: drop_params.clone(),
            allowed_params: allowed_params.clone(),
            drops_refused,
            cache_points: cache_points.clone(),
            tags: tags.clone(),
            silent_model: silent_model.clone(),
            responses,
            passes_through,
            custom: head.custom.clone(),
            info: model_info.clone(),
            prices: prices.clone(),
            access,
        }
    };
    match organizations.as_slice() {
        [] => vec![one(None, None)],
        [only] => vec![one(Some(only.value), None)],
        many => (1..).zip(many).map(|(n, at)| one(Some(at.value), Some(n))).collect(),
    }
}

/// What the configuration says of a deployment's Responses API: the flag, then LiteLLM's prefix and
/// the mode.
fn responses_api(
    chat_only: Option<bool>,
    info: &ModelInfo,
    head: &Head<'_>,
) -> Option<ResponsesApi> {
    let marked = head.model.is_some_and(|model| {
        let rest = model.value.split_once('/').map_or(model.value, |(_, rest)| rest);
        rest.starts_with("responses/") || model.value.starts_with("responses/")
    });
    match chat_only {
        Some(true) => Some(ResponsesApi::None),
        _ if marked || info.mode.as_deref() == Some("responses") => Some(ResponsesApi::Always),
        Some(false) => Some(ResponsesApi::Offered),
        None => None,
    }
}

/// Reports a `silent_model` that nothing serves.
pub(super) fn check_silent(drafts: &[Draft], names: &Names, problems: &Problems) {
    for At { value, spot } in drafts.iter().filter_map(|draft| draft.silent_model.as_ref()) {
        if !names.resolves(value) {
            let message = format!("`silent_model` names `{value}`, which nothing serves");
            problems.push(Finding::error(*spot, message).help(names.help(value)));
        }
    }
}

/// Modes that LiteLLM knows; the first four are served here.
const MODES: [&str; 12] = [
    "chat",
    "completion",
    "embedding",
    "responses",
    "image_generation",
    "audio_transcription",
    "audio_speech",
    "rerank",
    "moderation",
    "realtime",
    "batch",
    "video_generation",
];

fn model_info(info: &mut Section<'_>, node: Option<&Node>, metadata: Option<&Entry>) -> ModelInfo {
    let mode = info.text("mode");
    if let Some(At { value, spot }) = mode {
        match MODES.iter().position(|known| *known == value) {
            Some(served) if served < 4 => {}
            Some(_) => info.problems.push(Finding::warning(
                spot,
                format!("the mode `{value}` is not served in this version"),
            )),
            None => {
                let help = nearest(value, MODES).map(|(near, _)| format!("did you mean `{near}`?"));
                let message = format!("`{value}` is not a mode");
                info.problems.push(Finding::error(spot, message).maybe_help(help));
            }
        }
    }
    let base_model = info.text("base_model");
    let (input, output) = (info.positive("max_input_tokens"), info.positive("max_output_tokens"));
    // As in LiteLLM's price list: the older name of the limit on the completion.
    let output = first([output, info.positive("max_tokens")]);
    let groups = info.texts("access_groups").unwrap_or_default();
    let mut capabilities = Capabilities::default();
    for capability in Capability::ALL {
        if let Some(at) = info.flag(capability.name()) {
            capabilities.set(capability, at.value);
        }
    }
    let told = params::told(metadata, info.problems);
    let written = node.and_then(|node| serde_json::from_str(&node.json()).ok());
    ModelInfo {
        mode: mode.map(|at| at.value.into()),
        base_model: base_model.map(|at| at.value.into()),
        price: None,
        max_input_tokens: input.map(|at| at.value).or(told.window),
        max_output_tokens: output.map(|at| at.value),
        capabilities,
        access_groups: groups.into_iter().map(|at| at.value.into()).collect(),
        names: told.capabilities,
        expected_latency: told.latency,
        region: None,
        written: written.unwrap_or_default(),
    }
}

/// Names what is called, and with which credentials, the same after every restart. The secret is
/// in the hash only: it cannot be read back from the id.
fn stable_id(group: &str, params: &Node, access: &Access) -> Arc<str> {
    let mut written: Vec<String> = params
        .map()
        .unwrap_or(&[])
        .iter()
        .map(|Entry { key, node, .. }| format!("{key}={}", node.json()))
        .collect();
    written.sort();
    let mut hash = Sha256::new();
    let parts = [Some(group), access.organization.as_deref(), access.api_key()];
    for part in parts.into_iter().flatten().chain(written.iter().map(String::as_str)) {
        // The length keeps `ab` + `c` apart from `a` + `bc`.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// 96 bits: short enough for a label, long enough never to meet its like.
const ID_BYTES: usize = 12;

/// Written ids must differ. An entry that is written twice word for word gets a number.
fn unique_ids(models: &mut Models, problems: &Problems) {
    let mut written: HashMap<Arc<str>, Spot> = HashMap::new();
    for Named { id, spot, .. } in &models.entries {
        let Some(id) = id else { continue };
        match written.get(id) {
            Some(first) => problems.push(
                Finding::error(*spot, format!("two deployments have the id `{id}`"))
                    .note(*first, "first written here")
                    .help("each deployment needs an id of its own, or none"),
            ),
            None => {
                written.insert(Arc::clone(id), *spot);
            }
        }
    }
    let mut times: HashMap<Arc<str>, usize> = HashMap::new();
    for draft in &mut models.drafts {
        let count = times.entry(Arc::clone(&draft.id)).or_default();
        *count += 1;
        if *count > 1 && !written.contains_key(&draft.id) {
            let message = "this deployment is written twice, word for word";
            let help = "remove one of the two, or set `weight`";
            problems.push(Finding::warning(draft.place.model, message).help(help));
            draft.id = format!("{}-{count}", draft.id).into();
        }
    }
}
