//! `cache_params`: whether and how replies are kept, and where Redis is.

use std::time::Duration;

use super::{Context, Sections, quota};
use crate::cache::{CallKind, Kinds, Place, Scope, Settings};
use crate::config::options::CACHE_PARAMS;
use crate::config::problem::{Finding, nearest};
use crate::config::section::{At, Section, first};
use crate::store::redis::RedisPlace;

/// LiteLLM's, of its memory.
const TTL: Duration = Duration::from_secs(600);
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

/// Where Redis is, and what is done with replies.
pub(super) fn read(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
) -> (Option<RedisPlace>, Option<Settings>) {
    let is_on = sections.litellm.flag("cache").is_some_and(|at| at.value);
    let is_written = sections.litellm.has("cache_params");
    let mut params = sections.litellm.section("cache_params", &CACHE_PARAMS);
    let kind = params.text("type");
    let settings = settings(&mut params, kind);
    let caches_here = is_on && kind.is_some_and(|at| at.value == "local");
    let redis = quota::redis(&mut params, is_written, caches_here, &mut sections.router, context);
    params.finish();
    if !is_on {
        return (redis, None);
    }
    let place = match kind.map(|at| at.value) {
        Some("local") => Place::Memory,
        Some("redis") => Place::Redis,
        None if redis.is_some() => Place::Redis,
        None => Place::Memory,
        Some(other) => {
            let spot = kind.map(|at| at.spot);
            let message = format!("`{other}` is not available in this version: no reply is kept");
            let help = "write `type: local` or `type: redis`";
            context.problems.push(Finding::warning(spot, message).help(help));
            return (redis, None);
        }
    };
    (redis, Some(Settings { place, ..settings }))
}

fn settings(params: &mut Section<'_>, kind: Option<At<&str>>) -> Settings {
    let problems = params.problems;
    let is_local = kind.is_some_and(|at| at.value == "local");
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
    let scope = params.text("scope").map_or_else(Scope::default, |at| {
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
            ("{type: redis-semantic}", "`redis-semantic` is not available in this version"),
            ("{type: s3}", "`s3` is not available in this version"),
            ("{type: local, default_in_redis_ttl: 5}", "`default_in_redis_ttl` has no effect"),
            ("{type: local, supported_call_types: [atranscription]}", "are not kept"),
            ("{type: local, similarity_threshold: 0.8}", "`similarity_threshold` is not available"),
            ("{type: local, mode: on}", "is no mode of the cache"),
            ("{type: local, scope: user}", "is no scope of the cache"),
            ("{type: local, namespace: 'a b'}", "`namespace` must be"),
            ("{type: local, supported_call_types: [acompletions]}", "did you mean `acompletion`?"),
        ] {
            let (_, report) = load(&format!("  cache: true\n  cache_params: {params}\n"));
            assert!(report.contains(problem), "{params}: {report}");
        }
        assert_eq!(load("  cache: true\n  cache_params: {type: redis-semantic}\n").0, None);
    }
}
