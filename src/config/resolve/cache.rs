//! `cache_params`: whether and how replies are kept, and where Redis is.

use std::time::Duration;

use super::names::Names;
use super::{Context, Sections, quota};
use crate::cache::{CallKind, Kinds, Meaning, Place, Scope, Settings, VECTOR_BYTES};
use crate::catalog::Catalog;
use crate::config::options::CACHE_PARAMS;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section, first};
use crate::dialect::Endpoint;
use crate::store::redis::RedisPlace;

/// LiteLLM's, of its memory.
const TTL: Duration = Duration::from_secs(600);
/// LiteLLM's, of its semantic caches.
const EMBEDDING_MODEL: &str = "text-embedding-ada-002";
/// A vector takes some 0.2 seconds to come.
const VECTOR_TIMEOUT: Duration = Duration::from_secs(1);
/// The mode of a model that makes vectors.
const EMBEDDING: &str = "embedding";
const MEGABYTE: u64 = 1024 * 1024;
const MEGABYTES_MAX: u32 = 1_000_000;
/// A request may name one of its own, of this length.
const NAMESPACE_MAX: usize = 128;

const SCOPES: [(&str, Scope); 4] = [
    ("key", Scope::Key),
    ("end_user", Scope::EndUser),
    ("team", Scope::Team),
    ("global", Scope::Global),
];

/// LiteLLM's words for kinds of calls; those with an `a` are the same.
const CALLS: [(&str, CallKind); 11] = [
    ("completion", CallKind::Chat),
    ("text_completion", CallKind::Text),
    ("embedding", CallKind::Embeddings),
    ("rerank", CallKind::Rerank),
    ("responses", CallKind::Responses),
    ("anthropic_messages", CallKind::Messages),
    ("generate_content", CallKind::GenerateContent),
    ("generate_content_stream", CallKind::GenerateContent),
    // LiteLLM's generic names.
    ("chat_completion", CallKind::Chat),
    ("embeddings", CallKind::Embeddings),
    ("messages", CallKind::Messages),
];

/// Calls that LiteLLM keeps the replies of, and nobody does here.
const OTHER_CALLS: [&str; 2] = ["transcription", "atranscription"];

/// What `cache_params` says.
pub(super) struct Read {
    pub redis: Option<RedisPlace>,
    pub cache: Option<Settings>,
    /// Where the model is named that makes vectors.
    pub model_spot: Option<Spot>,
}

/// Where Redis is, and what is done with replies.
pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>) -> Read {
    let is_on = sections.litellm.flag("cache").is_some_and(|at| at.value);
    let is_written = sections.litellm.has("cache_params");
    let mut params = sections.litellm.section("cache_params", &CACHE_PARAMS);
    let kind = params.text("type");
    let settings = settings(&mut params, kind);
    let (meaning, model_spot) = meaning(&mut params, kind, is_on);
    let caches_here =
        is_on && kind.is_some_and(|at| matches!(at.value, "local" | "local-semantic"));
    let redis = quota::redis(&mut params, is_written, caches_here, &mut sections.router, context);
    params.finish();
    if !is_on {
        return Read { redis, cache: None, model_spot: None };
    }
    let place = match kind.map(|at| at.value) {
        Some("local" | "local-semantic") => Place::Memory,
        Some("redis" | "redis-semantic") => Place::Redis,
        None if redis.is_some() => Place::Redis,
        None => Place::Memory,
        Some(other) => {
            let spot = kind.map(|at| at.spot);
            let message = format!("`{other}` is not available in this version: no reply is kept");
            let help = match other.contains("semantic") {
                true => "write `type: local-semantic` or `type: redis-semantic`",
                false => "write `type: local` or `type: redis`",
            };
            context.problems.push(Finding::warning(spot, message).help(help));
            return Read { redis, cache: None, model_spot: None };
        }
    };
    Read { redis, cache: Some(Settings { place, meaning, ..settings }), model_spot }
}

/// How replies are found by meaning, and where the model is named. Where they are not, what is written
/// of it has no effect.
fn meaning(
    params: &mut Section<'_>,
    kind: Option<At<&str>>,
    is_on: bool,
) -> (Option<Meaning>, Option<Spot>) {
    let problems = params.problems;
    let threshold = params.number("similarity_threshold");
    let models = [
        ("semantic_cache_embedding_model", params.text("semantic_cache_embedding_model")),
        (
            "redis_semantic_cache_embedding_model",
            params.text("redis_semantic_cache_embedding_model"),
        ),
        (
            "qdrant_semantic_cache_embedding_model",
            params.text("qdrant_semantic_cache_embedding_model"),
        ),
    ];
    let timeout = params.timeout("semantic_cache_timeout");
    let memory = params.count("semantic_cache_max_size_mb", MEGABYTES_MAX);
    let named = models.iter().find_map(|(name, at)| Some((*name, (*at)?)));
    let is_wanted = |at: At<&str>| matches!(at.value, "local-semantic" | "redis-semantic");
    let Some(kind) = kind.filter(|kind| is_wanted(*kind)) else {
        let written = [
            named.map(|(name, at)| (name, at.spot)),
            threshold.map(|at| ("similarity_threshold", at.spot)),
            timeout.map(|at| ("semantic_cache_timeout", at.spot)),
            memory.map(|at| ("semantic_cache_max_size_mb", at.spot)),
        ];
        // Another type is told of by itself.
        let is_exact = kind.is_none_or(|at| matches!(at.value, "local" | "redis"));
        for (name, spot) in written.into_iter().flatten().filter(|_| is_exact) {
            let message = format!("`{name}` has no effect: replies are not found by meaning");
            let help = "write `type: local-semantic` or `type: redis-semantic`";
            problems.push(Finding::warning(spot, message).help(help));
        }
        return (None, None);
    };
    let Some(threshold) = threshold else {
        if is_on {
            let message = format!("`type: {}` needs a `similarity_threshold`", kind.value);
            let help = "write a number from 0 to 1: `0.9` takes questions for the same that are \
                        worded differently";
            problems.push(Finding::error(kind.spot, message).help(help));
        }
        return (None, None);
    };
    if !(threshold.value > 0.0 && threshold.value <= 1.0) {
        let message = "`similarity_threshold` must be above 0 and at most 1";
        problems.push(Finding::error(threshold.spot, message));
    }
    let meaning = Meaning {
        threshold: threshold.value as f32,
        model: named.map_or(EMBEDDING_MODEL, |(_, at)| at.value).into(),
        timeout: timeout.map_or(VECTOR_TIMEOUT, |at| at.value),
        memory_bytes: memory.map_or(VECTOR_BYTES, |at| u64::from(at.value) * MEGABYTE),
    };
    (Some(meaning), Some(named.map_or(kind.spot, |(_, at)| at.spot)))
}

/// Refuses a model that cannot make vectors of questions.
pub(super) fn check_model(
    cache: Option<&Settings>,
    spot: Option<Spot>,
    (catalog, names): (&Catalog, &Names),
    problems: &Problems,
) {
    let Some(meaning) = cache.and_then(|cache| cache.meaning.as_ref()) else { return };
    let model = &*meaning.model;
    let Some(found) = catalog.asked(model) else {
        // A part of a file does not know what others define.
        if !names.resolves(model) {
            let message = format!(
                "the cache is to compare questions by vectors of `{model}`, which nothing serves"
            );
            let help = "name a model of `model_list` in `semantic_cache_embedding_model`";
            problems.push(Finding::error(spot, message).help(help));
        }
        return;
    };
    let makes_none = |deployment: &&std::sync::Arc<crate::catalog::Deployment>| {
        let mode = deployment.info.mode.as_deref();
        deployment.target.paths[Endpoint::Embeddings.index()].is_none()
            || mode.is_some_and(|mode| mode != EMBEDDING)
    };
    if let Some(deployment) = found.deployments.iter().find(makes_none) {
        let what = match deployment.info.mode.as_deref() {
            Some(mode) if mode != EMBEDDING => format!("its mode is `{mode}`"),
            _ => format!("`{}` has none", deployment.provider),
        };
        let message = format!("`{model}` makes no embeddings for the cache: {what}");
        let help = "name a model such as `text-embedding-3-small` in \
                    `semantic_cache_embedding_model`";
        problems.push(Finding::error(spot, message).help(help));
    }
}

fn settings(params: &mut Section<'_>, kind: Option<At<&str>>) -> Settings {
    let problems = params.problems;
    let is_local = kind.is_some_and(|at| matches!(at.value, "local" | "local-semantic"));
    let ttl = params.seconds("ttl");
    let here = params.seconds("default_in_memory_ttl");
    let there = params.seconds("default_in_redis_ttl");
    let other = match is_local {
        true => there.map(|at| (at, "default_in_redis_ttl", "local")),
        false => here.filter(|_| kind.is_some()).map(|at| (at, "default_in_memory_ttl", "redis")),
    };
    if let Some((at, name, kind)) = other {
        let message = format!("`{name}` has no effect with `type: {kind}`");
        problems.push(Finding::warning(at.spot, message));
    }
    // Without a type it is not known yet where; both may be written, and mean the same then.
    let own = match kind {
        None => first([here, there]),
        Some(_) if is_local => here,
        Some(_) => there,
    };
    let ttl = first([own, ttl]).map_or(TTL, |at| at.value);
    let only_on_request = params.text("mode").is_some_and(|at| match at.value {
        "default_on" => false,
        "default_off" => true,
        other => {
            let message = format!("`{other}` is no mode of the cache");
            let help = "write `default_on` or `default_off`";
            problems.push(Finding::error(at.spot, message).help(help));
            false
        }
    });
    let scope = first([params.text("scope"), params.text("semantic_cache_scope")]);
    let scope = scope.map_or_else(Scope::default, |at| {
        let known = SCOPES.iter().find(|(name, _)| *name == at.value);
        if known.is_none() {
            let message = format!("`{}` is no scope of the cache", at.value);
            let help = "write `key`, `end_user`, `team` or `global`";
            problems.push(Finding::error(at.spot, message).help(help));
        }
        known.map_or_else(Scope::default, |(_, scope)| *scope)
    });
    let namespace = params.text("namespace");
    let namespace = namespace.filter(|at| {
        let fits = at.value.len() <= NAMESPACE_MAX;
        let fits = fits && at.value.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let message = "`namespace` must be at most 128 letters, digits and signs";
            problems.push(Finding::error(at.spot, message));
        }
        fits
    });
    let kinds = kinds(params);
    let memory = params.count("max_size_mb", MEGABYTES_MAX);
    Settings {
        place: Place::Memory,
        scope,
        namespace: namespace.map(|at| at.value.into()),
        ttl,
        only_on_request,
        kinds,
        memory_bytes: memory
            .map_or(crate::cache::MEMORY_BYTES, |at| u64::from(at.value) * MEGABYTE),
        meaning: None,
    }
}

fn kinds(params: &mut Section<'_>) -> Kinds {
    let problems = params.problems;
    let Some(written) = params.texts("supported_call_types") else { return Kinds::ALL };
    let mut kinds = Kinds::NONE;
    for At { value, spot } in written {
        let named =
            |name: &str| CALLS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let kind = named(value).or_else(|| named(value.strip_prefix('a')?));
        match kind {
            Some(kind) => kinds = kinds.with(kind),
            None if OTHER_CALLS.contains(&value) => {
                let message = format!("replies to `{value}` are not kept in this version");
                problems.push(Finding::warning(spot, message));
            }
            None => {
                let near = nearest(value, CALLS.iter().map(|(name, _)| *name));
                let help = near.map(|(near, _)| format!("did you mean `a{near}`?"));
                let message = format!("`{value}` is no kind of calls whose replies are kept");
                problems.push(Finding::error(spot, message).maybe_help(help));
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::load_text;

    /// What is read, and what is said of it.
    fn load(yaml: &str) -> (Option<Settings>, String) {
        let yaml = format!("model_list: []\nlitellm_settings:\n{yaml}");
        let loaded = load_text(Path::new("t.yaml"), &yaml, &BTreeMap::new());
        let (report, _) = crate::config::report(&loaded.problems, false, false);
        (loaded.snapshot.and_then(|snapshot| snapshot.cache), report)
    }

    #[test]
    fn nothing_is_kept_unless_it_is_asked_for() {
        assert_eq!(load("  cache: false\n").0, None);
        assert_eq!(load("  cache_params: {type: redis, ttl: 5}\n").0, None);
        let (settings, report) = load("  cache: true\n");
        assert_eq!(settings, Some(Settings::default()));
        assert!(!report.contains("cache"), "{report}");
    }

    #[test]
    fn litellms_settings_are_read() {
        let (settings, report) = load(
            "  cache: true\n  cache_params:\n    type: local\n    ttl: 30\n    mode: default_off\n    \
             namespace: prod\n    scope: team\n    max_size_mb: 2\n    supported_call_types: \
             [acompletion, embedding, atext_completion]\n",
        );
        assert!(!report.contains("cache"), "{report}");
        let kinds = Kinds::NONE.with(CallKind::Chat).with(CallKind::Text);
        let expected = Settings {
            place: Place::Memory,
            scope: Scope::Team,
            namespace: Some("prod".into()),
            ttl: Duration::from_secs(30),
            only_on_request: true,
            kinds: kinds.with(CallKind::Embeddings),
            memory_bytes: 2 * MEGABYTE,
            meaning: None,
        };
        assert_eq!(settings, Some(expected));
        let redis =
            load("  cache: true\n  cache_params: {type: redis, default_in_redis_ttl: 7, ttl: 3}\n");
        let redis = redis.0.unwrap();
        assert_eq!((redis.place, redis.ttl), (Place::Redis, Duration::from_secs(7)));
        let nothing =
            load("  cache: true\n  cache_params: {type: local, supported_call_types: []}\n");
        assert_eq!(nothing.0.unwrap().kinds, Kinds::NONE);
    }

    #[test]
    fn what_is_not_served_is_told() {
        for (params, problem) in [
            ("{type: qdrant-semantic}", "write `type: local-semantic` or `type: redis-semantic`"),
            ("{type: redis-semantic}", "`type: redis-semantic` needs a `similarity_threshold`"),
            ("{type: local-semantic, similarity_threshold: 1.1}", "must be above 0 and at most 1"),
            ("{type: s3}", "`s3` is not available in this version"),
            ("{type: local, default_in_redis_ttl: 5}", "`default_in_redis_ttl` has no effect"),
            ("{type: local, supported_call_types: [atranscription]}", "are not kept"),
            ("{type: local, similarity_threshold: 0.8}", "`similarity_threshold` has no effect"),
            ("{type: local, mode: on}", "is no mode of the cache"),
            ("{type: local, scope: user}", "is no scope of the cache"),
            ("{type: local, namespace: 'a b'}", "`namespace` must be"),
            ("{type: local, supported_call_types: [acompletions]}", "did you mean `acompletion`?"),
        ] {
            let (_, report) = load(&format!("  cache: true\n  cache_params: {params}\n"));
            assert!(report.contains(problem), "{params}: {report}");
        }
        assert_eq!(load("  cache: true\n  cache_params: {type: qdrant-semantic}\n").0, None);
    }

    /// What is read of a file with models.
    fn meant(params: &str) -> (Option<Settings>, String) {
        let yaml = format!(
            "model_list:\n\
             - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_key: k}}}}\n\
             - {{model_name: claude, litellm_params: {{model: anthropic/claude-x, api_key: k}}}}\n\
             - {{model_name: vectors, litellm_params: {{model: openai/text-embedding-3-small, api_key: k}}}}\n\
             - {{model_name: own, litellm_params: {{model: hosted_vllm/bge, api_base: 'http://x/v1'}}}}\n\
             litellm_settings:\n  cache: true\n  cache_params: {params}\n"
        );
        let loaded = load_text(Path::new("t.yaml"), &yaml, &BTreeMap::new());
        let (report, _) = crate::config::report(&loaded.problems, false, false);
        (loaded.snapshot.and_then(|snapshot| snapshot.cache), report)
    }

    #[test]
    fn replies_are_found_by_meaning_where_that_is_said() {
        let (settings, report) = meant(
            "{type: local-semantic, similarity_threshold: 0.8, semantic_cache_embedding_model: \
             vectors, semantic_cache_timeout: 0.3, semantic_cache_max_size_mb: 2, \
             semantic_cache_scope: end_user}",
        );
        assert!(!report.contains("cache"), "{report}");
        let settings = settings.unwrap();
        assert_eq!((settings.place, settings.scope), (Place::Memory, Scope::EndUser));
        let expected = Meaning {
            threshold: 0.8,
            model: "vectors".into(),
            timeout: Duration::from_millis(300),
            memory_bytes: 2 * MEGABYTE,
        };
        assert_eq!(settings.meaning, Some(expected));

        let (settings, report) = meant(
            "{type: redis-semantic, similarity_threshold: 1, host: h, \
             redis_semantic_cache_embedding_model: own}",
        );
        assert!(!report.contains("cache"), "{report}");
        let settings = settings.unwrap();
        assert_eq!(settings.place, Place::Redis);
        let meaning = settings.meaning.unwrap();
        assert_eq!((&*meaning.model, meaning.timeout), ("own", VECTOR_TIMEOUT));
        assert_eq!(meant("{type: local, max_size_mb: 3}").0.unwrap().meaning, None);
    }

    #[test]
    fn what_makes_no_vectors_is_refused() {
        for (model, problem) in [
            ("gpt", "`gpt` makes no embeddings for the cache: its mode is `chat`"),
            ("claude", "`claude` makes no embeddings for the cache"),
            ("vector", "vectors of `vector`, which nothing serves"),
        ] {
            let (settings, report) = meant(&format!(
                "{{type: local-semantic, similarity_threshold: 0.8, \
                 semantic_cache_embedding_model: {model}}}"
            ));
            assert!(report.contains(problem), "{report}");
            assert_eq!(settings, None);
        }
        // LiteLLM's default, which nobody has here.
        let (_, report) = meant("{type: local-semantic, similarity_threshold: 0.8}");
        assert!(report.contains("`text-embedding-ada-002`, which nothing serves"), "{report}");
    }
}
