//! The messages are the interface: every file under `tests/config` is held to the report beside it.
//! After a change that is meant, `TOLLGATE_BLESS=1 cargo test --lib config::` writes the reports
//! anew; read the difference before committing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::options::{TABLES, Verdict};
use super::*;
use crate::catalog::{Caps, Deployment, Mount};
use crate::keys::record::Key;
use crate::keys::ring;
use crate::routing::{self, Fallback};
use crate::snapshot::Access;
use crate::store::Place;
use crate::usage::{Units, Usage};

/// Stands for every secret in the test files; no report may show it.
const SECRET: &str = "hunter2";

const DATABASE_URL: &str = "postgresql://litellm:hunter2@localhost/from-env";

fn env() -> BTreeMap<String, String> {
    let names = [
        "ANTHROPIC_API_KEY",
        "AZURE_API_KEY_SECONDARY",
        "COHERE_API_KEY",
        "LANGFUSE_PUBLIC_KEY",
        "LANGFUSE_SECRET_KEY",
        "LITELLM_MASTER_KEY",
        "MASTER_KEY",
        "OPENAI_API_KEY",
        "OPENAI_EU_API_KEY",
        "VLLM_API_KEY",
    ];
    let mut env: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), format!("{SECRET}-{name}"))).collect();
    env.insert("DATABASE_URL".to_owned(), DATABASE_URL.to_owned());
    env.insert("EMPTY".to_owned(), String::new());
    env
}

/// The variables that the seed files and examples name besides.
fn full_env() -> BTreeMap<String, String> {
    let mut env = env();
    for name in [
        "AZURE_API_KEY",
        "GROQ_API_KEY",
        "COHERE_API_KEY",
        "ACME_API_KEY",
        "OPENAI_PASSED_KEY",
        "SEARCH_API_KEY",
        "TEAM_A_KEY",
        "TEAM_B_KEY",
        "TEAM_C_KEY",
        "TEAM_D_KEY",
    ] {
        env.insert(name.to_owned(), format!("{SECRET}-{name}"));
    }
    for name in ["AZURE_API_BASE", "AZURE_API_BASE_SECONDARY"] {
        env.insert(name.to_owned(), "https://example.openai.azure.com".to_owned());
    }
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"] {
        env.insert(name.to_owned(), format!("{SECRET}-{name}").replace('_', "-"));
    }
    env
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no files");
    files
}

fn shown(path: &Path, loaded: &Loaded, strict: bool) -> String {
    let (text, code) = report(&loaded.problems, strict, false);
    let summary = loaded.summary(&path.display().to_string(), strict);
    let folder = format!("{}/", path.parent().unwrap().display());
    format!("{text}{summary}\nexit code {code}\n").replace(&folder, "")
}

/// Compares with the report beside the file, or writes it.
fn hold(path: &Path, found: &str, wrong: &mut Vec<String>) {
    assert!(!found.contains(SECRET), "{} shows a secret:\n{found}", path.display());
    let expected = path.with_extension("txt");
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(&expected, found).unwrap();
    }
    let expected = fs::read_to_string(&expected).unwrap_or_default();
    if expected != found {
        wrong.push(format!("== {}\n-- expected\n{expected}-- found\n{found}", path.display()));
    }
}

#[test]
fn bad_files_are_refused_with_the_report_beside_them() {
    let mut wrong = Vec::new();
    for path in yaml_files("tests/config/bad") {
        let loaded = load(&path, &env());
        assert!(loaded.snapshot.is_none(), "{} is taken for good", path.display());
        hold(&path, &shown(&path, &loaded, false), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_files_become_the_snapshot_beside_them() {
    let mut wrong = Vec::new();
    for folder in ["tests/config/good", "tests/config/good/seeds"] {
        for path in yaml_files(folder) {
            let loaded = load(&path, &full_env());
            let report = shown(&path, &loaded, false);
            let Some(snapshot) = &loaded.snapshot else {
                panic!("{} is refused:\n{report}", path.display())
            };
            hold(&path, &format!("{report}\n{}", describe(snapshot)), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_in_conf_is_good() {
    let files = ["conf", "conf/examples"].into_iter().flat_map(yaml_files);
    // The one file there that `tollgate mock` reads, not the gateway.
    for path in files.filter(|path| !path.ends_with("mock-script.yaml")) {
        let loaded = load(&path, &full_env());
        let report = shown(&path, &loaded, true);
        assert!(loaded.problems.is_empty(), "{}:\n{report}", path.display());
        assert!(loaded.snapshot.is_some(), "{}", path.display());
    }
}

/// `reference.yaml` shows every option, and (in debug builds) loading it proves that a reader asks
/// for each of them.
#[test]
fn the_reference_shows_every_supported_option() {
    let text = fs::read_to_string("conf/reference.yaml").unwrap();
    let keys: Vec<&str> = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches(['-', '#']).trim_start())
        .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        .collect();
    for table in TABLES {
        for option in table.options.iter().filter(|row| row.verdict == Verdict::Supported) {
            assert!(keys.contains(&option.name), "`{}` of {} is missing", option.name, table.name);
        }
    }
}

/// The readers check themselves in debug builds: a name that the table calls supported and that no
/// reader asks for ends this test.
#[test]
fn every_supported_option_has_a_reader() {
    let names = |name: &str| -> String {
        let table = TABLES.into_iter().find(|table| table.name == name).unwrap();
        let rows = table.options.iter().filter(|row| row.verdict == Verdict::Supported);
        let own = ["model_name", "model", "litellm_params", "model_info", "credential_name"];
        let rows = rows.filter(|row| !own.contains(&row.name));
        rows.map(|row| format!("{}: null", row.name)).collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "model_list: [{{model_name: a, litellm_params: {{model: openai/a, {}}}, \
         model_info: {{{}}}}}]\nrouter_settings: {{{}}}\nlitellm_settings: {{{}}}\n\
         general_settings: {{{}}}\nfallback_config: [{{model_name: a, {}}}]\nrouter: {{{}}}\n",
        names("litellm_params"),
        names("model_info"),
        names("router_settings"),
        names("litellm_settings"),
        names("general_settings"),
        names("fallback_config"),
        names("router"),
    );
    let loaded = load_text(Path::new("t.yaml"), &text, &env());
    let (text, code) = report(&loaded.problems, true, false);
    assert_eq!((text.as_str(), code), ("", 0));
}

#[test]
fn a_thousand_deployments_are_read_and_told_apart() {
    let mut text = "model_list:\n".to_owned();
    for n in 0..1_000 {
        text += &format!(
            "  - model_name: group-{}\n    litellm_params:\n      model: openai/model-{n}\n      \
             api_key: {SECRET}-{n}\n      rpm: {}\n    model_info: {{id: d{n}}}\n",
            n % 10,
            n + 1
        );
    }
    let loaded = load_text(Path::new("t.yaml"), &text, &env());
    let snapshot = loaded.snapshot.unwrap();
    assert_eq!(snapshot.catalog.deployments().len(), 1_000);
    assert_eq!(snapshot.catalog.groups().count(), 10);
}

/// A file that is being edited is broken in every way.
#[test]
fn no_cut_or_missing_line_ends_in_a_panic() {
    let folders = ["tests/config/good", "tests/config/good/seeds", "tests/config/bad", "conf"];
    for path in folders.into_iter().flat_map(yaml_files) {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        // The bodies of these few are long lines of one kind.
        for at in (0..lines.len()).take(120) {
            let (before, after) = (lines[..at].join("\n"), lines[at + 1..].join("\n"));
            let half: String = lines[at].chars().take(lines[at].chars().count() / 2).collect();
            for text in [before.clone(), format!("{before}\n{half}"), format!("{before}\n{after}")]
            {
                let loaded = load_text(&path, &text, &full_env());
                let (report, _) = report(&loaded.problems, false, false);
                assert!(!report.contains(SECRET), "{report}");
                assert!(loaded.snapshot.is_some() || !loaded.problems.is_empty(), "{text}");
            }
        }
    }
}

#[test]
fn strict_makes_errors_of_warnings() {
    let path = Path::new("tests/config/good/seeds/c1-multi-provider.yaml");
    let loaded = load(path, &full_env());
    let (text, code) = report(&loaded.problems, true, false);
    assert_eq!(code, BAD_FILE, "{text}");
    assert!(text.contains(": error: the master key is well known"), "{text}");
    assert!(loaded.summary("x", true).contains("refused by --strict"));
}

#[test]
fn colour_is_for_terminals_only() {
    let loaded = load(Path::new("tests/config/bad/strategy-unknown.yaml"), &env());
    assert!(!report(&loaded.problems, false, false).0.contains('\u{1b}'));
    assert!(report(&loaded.problems, false, true).0.contains("\u{1b}[1;31merror\u{1b}[0m"));
}

#[test]
fn a_missing_file_is_a_problem_of_the_file() {
    let loaded = load(Path::new("no/such.yaml"), &env());
    let (text, code) = report(&loaded.problems, false, false);
    assert_eq!(text, "no/such.yaml: error: cannot read the file: there is no such file\n");
    assert_eq!(code, BAD_FILE);
}

/// These are no files that an editor or `git` would leave as they are.
#[test]
fn a_file_that_is_not_text_is_refused_at_the_place() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, expected) in [
        (
            &b"model_list: []\n# caf\xe9\n"[..],
            "t.yaml:2:6: error: this is not UTF-8\n      2 | # caf\u{fffd}\n        |      ^\n  \
             help: save the file as UTF-8\n",
        ),
        (
            b"\xff\xfem\0o\0",
            "t.yaml:1:1: error: the file is UTF-16\n  help: save the file as UTF-8\n",
        ),
        (
            b"model_list\0: []\n",
            "t.yaml:1:11: error: the character U+0000 is not allowed\n      1 | model_list\u{fffd}: \
             []\n        |           ^\n  help: remove it\n",
        ),
        (
            b"model_list: []\nrouter_settings:\n  a\x1bb: 1\n",
            "t.yaml:3:3: warning: unknown option `a\u{fffd}b` in `router_settings`; it has no effect",
        ),
    ] {
        let path = folder.path().join("t.yaml");
        fs::write(&path, bytes).unwrap();
        let (text, _) = report(&load(&path, &full_env()).problems, false, false);
        let text = text.replace(&format!("{}/", folder.path().display()), "");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_model_without_a_file_is_served_with_the_keys_of_the_environment() {
    let options = QuickStart { request_timeout: Some(30.0), ..QuickStart::default() };
    let loaded = quick_start("openai/gpt-4o", &options, &env());
    let snapshot = loaded.snapshot.unwrap();
    let deployment = &snapshot.catalog.deployments()[0];
    assert_eq!((&*deployment.group, &*deployment.model), ("openai/gpt-4o", "gpt-4o"));
    assert_eq!(deployment.timeouts.request, Some(std::time::Duration::from_secs(30)));
}

#[test]
fn the_master_key_may_come_from_the_environment() {
    let mut env = env();
    env.insert("LITELLM_MASTER_KEY".to_owned(), "sk-from-litellm".to_owned());
    let key = |env: &BTreeMap<String, String>| {
        let loaded = load_text(Path::new("t.yaml"), "model_list: []", env);
        loaded.snapshot.unwrap().access.master_key
    };
    assert!(key(&env).unwrap().matches(b"sk-from-litellm"));
    env.insert("TOLLGATE_MASTER_KEY".to_owned(), "sk-from-tollgate".to_owned());
    assert!(key(&env).unwrap().matches(b"sk-from-tollgate"));
    env.clear();
    env.insert("LITELLM_MASTER_KEY".to_owned(), " ".to_owned());
    assert!(key(&env).is_none(), "an empty variable is no key");
}

#[test]
fn the_default_id_changes_with_what_is_called_and_not_with_the_order_of_writing() {
    let id = |params: &str| {
        let text = format!("model_list: [{{model_name: a, litellm_params: {{{params}}}}}]");
        let loaded = load_text(Path::new("t.yaml"), &text, &env());
        loaded.snapshot.unwrap().catalog.deployments()[0].id.to_string()
    };
    let first = id("model: openai/gpt-4o, api_key: one-key");
    assert_eq!(first, id("api_key: one-key, model: openai/gpt-4o"));
    assert_eq!(first.len(), 24);
    for other in [
        "model: openai/gpt-4o, api_key: other-key",
        "model: openai/gpt-4, api_key: one-key",
        "model: openai/gpt-4o, api_key: one-key, temperature: 0",
        "model: openai/gpt-4o",
    ] {
        assert_ne!(first, id(other), "{other}");
    }
}

/// The snapshot in a form that people can compare: what differs from the defaults of a type is
/// written out, addresses are shown without what the provider table adds to them.
fn describe(snapshot: &Snapshot) -> String {
    let Snapshot { catalog, routing, access, traffic, fetching, edge, logs, store, .. } = snapshot;
    let mut out = String::new();
    for deployment in catalog.deployments() {
        describe_deployment(deployment, &mut out);
    }
    // Those of providers follow from keys in the environment.
    for mount in catalog.mounts().iter().filter(|mount| mount.verbatim) {
        let Mount { path, subpaths, methods, query, price, resolved, .. } = &**mount;
        let targets = resolved.deployments.iter().map(|it| &*it.target.api_base);
        let targets = targets.collect::<Vec<_>>().join(" ");
        writeln!(out, "{path} -> {targets}, below {subpaths}, {methods:?}, {query:?}, {price:?}")
            .unwrap();
    }
    for sink in &snapshot.callbacks.sinks {
        writeln!(out, "{sink:?}").unwrap();
    }
    writeln!(out, "strategy {:?}", routing.strategy).unwrap();
    let routing::Settings { num_retries, retry_after, cooldown, max_retry_after, .. } = routing;
    writeln!(
        out,
        "retries {num_retries}, retry after {retry_after:?}..{max_retry_after:?}, cooldown \
         {cooldown:?}, disabled {}",
        routing.disable_cooldowns
    )
    .unwrap();
    writeln!(
        out,
        "allowed fails {:?}, max fallbacks {}",
        routing.allowed_fails, routing.max_fallbacks
    )
    .unwrap();
    let routing::Settings { tuning, cost_threshold, context_threshold, affinity, .. } = routing;
    if *tuning != routing::Tuning::default() {
        writeln!(out, "{tuning:?}").unwrap();
    }
    for (group, choice) in sorted(&routing.groups) {
        let routing::GroupStrategy { strategy, tuning } = choice;
        writeln!(out, "strategy of {group}: {strategy:?}, {tuning:?}").unwrap();
    }
    if cost_threshold.is_some() || context_threshold.is_some() {
        writeln!(out, "thresholds {cost_threshold:?}, {context_threshold:?}").unwrap();
    }
    if *affinity != routing::Affinity::default() {
        writeln!(out, "{affinity:?}").unwrap();
    }
    if routing.pre_call_checks || routing.allowed_region.is_some() {
        let region = &routing.allowed_region;
        writeln!(out, "pre-call checks {}, region {region:?}", routing.pre_call_checks).unwrap();
    }
    let is_usual = fetching.validates && fetching.allowed_hosts.is_empty();
    if !is_usual || fetching.max_bytes != 20 * 1024 * 1024 {
        writeln!(out, "{fetching:?}").unwrap();
    }
    for (name, rules) in [
        ("fallbacks", &routing.fallbacks),
        ("context window", &routing.context_window_fallbacks),
        ("content policy", &routing.content_policy_fallbacks),
    ] {
        for (group, to) in sorted(rules) {
            let to: Vec<_> = to.iter().map(describe_fallback).collect();
            writeln!(out, "{name} {group}: {}", to.join(", ")).unwrap();
        }
    }
    for (group, retries) in sorted(&routing.group_num_retries) {
        let after = routing.group_retry_after.get(group.as_str());
        writeln!(out, "retries of {group}: {retries}, after {after:?}").unwrap();
    }
    for spread in sorted_spreads(catalog) {
        writeln!(out, "turns {spread}").unwrap();
    }
    let words = &snapshot.words;
    if snapshot.transcribes(false) || words.off || words.redaction.is_some() {
        let (stored, keep, off) = (words.stored, words.keep, words.off);
        let heeds = words.heeds_requests;
        let traced = snapshot.traces.as_ref().map(|traces| (traces.content, traces.anonymous));
        writeln!(out, "words stored {stored:?} for {keep:?}, traced {traced:?}, off {off}, heeds requests {heeds}")
            .unwrap();
        if let Some(redaction) = &words.redaction {
            let text = "a@b.example, CUST-7, SECRET-8.";
            writeln!(out, "redacted {:?}", redaction.redacted(text)).unwrap();
        }
    }
    let names: Vec<_> = snapshot.rules.names().collect();
    if !names.is_empty() {
        writeln!(out, "decided {}, region {:?}", names.join(", "), snapshot.rules.region).unwrap();
    }
    let by_class = |counts: &routing::ByClass| {
        let mut counts: Vec<_> = counts.iter().map(|(k, v)| format!("{k:?} {v}")).collect();
        counts.sort();
        counts.join(", ")
    };
    if !routing.retry_policy.by_class.is_empty() || routing.retry_policy.default.is_some() {
        let policy = &routing.retry_policy;
        let default = policy.default;
        writeln!(out, "retry policy {}, default {default:?}", by_class(&policy.by_class)).unwrap();
    }
    for (group, policy) in sorted(&routing.group_retry_policy) {
        writeln!(out, "retry policy of {group} {}", by_class(&policy.by_class)).unwrap();
    }
    if !routing.allowed_fails_policy.is_empty() {
        writeln!(out, "allowed fails {}", by_class(&routing.allowed_fails_policy)).unwrap();
    }
    let routing::Settings { default_max_parallel_requests, .. } = routing;
    writeln!(
        out,
        "parallel {default_max_parallel_requests:?}, tags {}",
        routing.enable_tag_filtering
    )
    .unwrap();
    if routing.breaker != routing::Breaker::default() || routing.heeds_checks.is_some() {
        writeln!(out, "{:?}, heeds checks {:?}", routing.breaker, routing.heeds_checks).unwrap();
    }
    let Access { master_key, key_header, require_auth_for_metrics, cors_origins, .. } = access;
    let metrics = format!("require_auth_for_metrics: {require_auth_for_metrics}");
    let more = format!("key_header: {key_header:?}, {metrics}, cors_origins: {cors_origins:?}");
    writeln!(out, "Access {{ master_key: {master_key:?}, {more} }}").unwrap();
    if !access.end_user_headers.is_empty() || *access.ring != ring::Settings::default() {
        writeln!(out, "{:?} end users {:?}", access.ring, access.end_user_headers).unwrap();
    }
    for holder in access.static_keys.values() {
        let Key { key_name, key_alias, models, aliases, allowance, expires, blocked, .. } =
            &holder.key;
        let name = key_alias.as_deref().unwrap_or(key_name);
        writeln!(out, "key {name} {models:?} {aliases:?} {allowance:?}").unwrap();
        writeln!(out, "   expires {expires:?} blocked {blocked}").unwrap();
    }
    writeln!(out, "{traffic:?}\n{logs:?}").unwrap();
    let is_usual = matches!(&store.place, Place::Postgres { url, connections: 10 }
        if url.expose() == DATABASE_URL);
    if !is_usual {
        writeln!(out, "{store:?}").unwrap();
    }
    if **edge != crate::edge::Settings::default() {
        writeln!(out, "{edge:?}").unwrap();
    }
    out
}

fn sorted_spreads(catalog: &crate::catalog::Catalog) -> std::collections::BTreeSet<String> {
    let spreads = catalog.spreads().map(|spread| {
        let members = spread.members.iter().map(|it| format!("{} {}", it.name, it.weight));
        members.collect::<Vec<_>>().join(", ")
    });
    spreads.collect()
}

fn describe_deployment(deployment: &Deployment, out: &mut String) {
    let Deployment { id, group, provider, dialect, model, target, .. } = deployment;
    // An id that nobody wrote depends on the keys, which are made up here.
    let (hash, number) = id.split_at_checked(24).unwrap_or((id, ""));
    let hashed = hash.len() == 24 && hash.chars().all(|c| c.is_ascii_hexdigit());
    let id = if hashed { format!("(hash){number}") } else { id.to_string() };
    writeln!(out, "{group} = {provider}/{model} ({dialect:?}) id {id}").unwrap();
    let scheme = if target.tls { "https" } else { "http" };
    write!(out, "   {scheme}://{}:{}", target.host, target.port).unwrap();
    if !target.verify_tls || target.ca_file.is_some() {
        write!(out, " verify {} ca {:?}", target.verify_tls, target.ca_file).unwrap();
    }
    let mut word = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(out, " {name} {value}").unwrap();
        }
    };
    word("weight", deployment.weight.map(|v| v.to_string()));
    word("order", deployment.order.map(|v| v.to_string()));
    word("rpm", deployment.rpm.map(|v| v.to_string()));
    word("tpm", deployment.tpm.map(|v| v.to_string()));
    word("parallel", deployment.max_parallel_requests.map(|v| v.to_string()));
    word("timeout", deployment.timeouts.request.map(|v| format!("{v:?}")));
    word("stream", deployment.timeouts.stream.map(|v| format!("{v:?}")));
    word("retries", deployment.num_retries.map(|v| v.to_string()));
    word("cooldown", deployment.cooldown.map(|v| format!("{v:?}")));
    for (name, value) in &deployment.defaults {
        word(name, Some(format!("= {value}")));
    }
    word("drop", (!deployment.drop_params.is_empty()).then(|| deployment.drop_params.join(",")));
    let allowed = &deployment.allowed_params;
    word("allow", (!allowed.is_empty()).then(|| allowed.join(",")));
    word("drops_refused", deployment.drops_refused.map(|drops| drops.to_string()));
    word("tags", (!deployment.tags.is_empty()).then(|| deployment.tags.join(",")));
    let usage = Usage { input_tokens: 1_000, output_tokens: 1_000, ..Usage::default() };
    let price = deployment.info.price.as_ref();
    word("cost of 1000+1000", price.map(|price| price.cost(&usage).to_string()));
    let searched =
        Usage { units: Units { web_searches: 10, ..Units::default() }, ..Usage::default() };
    let searches = price.filter(|price| price.units.web_search.is_some());
    word("of 10 searches", searches.map(|price| price.cost(&searched).to_string()));
    word("mode", deployment.info.mode.as_ref().map(ToString::to_string));
    let info = &deployment.info;
    let checked = deployment.info.written.keys().any(|name| name.starts_with("supports_"));
    word("capabilities", checked.then(|| format!("{:?}", info.capabilities)));
    word("names", (!info.names.is_empty()).then(|| info.names.join(",")));
    word("latency", info.expected_latency.map(|v| format!("{v:?}")));
    word("region", info.region.as_ref().map(ToString::to_string));
    word("base", deployment.info.base_model.as_ref().map(ToString::to_string));
    word("check", deployment.check.as_ref().map(|check| format!("{check:?}")));
    word("fleet", target.fleet.as_ref().map(|fleet| format!("{fleet:?}")));
    let caps = deployment.caps;
    word("caps", (caps != Caps::default()).then(|| format!("{caps:?}")));
    out.push('\n');
}

fn describe_fallback(fallback: &Fallback) -> String {
    let params: Vec<_> =
        fallback.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let with = if params.is_empty() { "" } else { " with " };
    format!("{}{with}{}", fallback.group, params.join(", "))
}

fn sorted<V>(map: &std::collections::HashMap<Arc<str>, V>) -> BTreeMap<String, &V> {
    map.iter().map(|(name, value)| (name.to_string(), value)).collect()
}
