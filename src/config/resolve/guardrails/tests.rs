//! What is read of guardrails, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::load_text;

/// What is read, and what is said of it.
fn load(yaml: &str) -> (Option<Arc<Guardrails>>, String) {
    let yaml = format!("model_list: []\n{yaml}");
    let loaded = load_text(Path::new("t.yaml"), &yaml, &BTreeMap::new());
    let (report, _) = crate::config::report(&loaded.problems, false, false);
    (loaded.snapshot.map(|snapshot| snapshot.guardrails), report)
}

fn entry(params: &str) -> String {
    format!("guardrails:\n- guardrail_name: g\n  litellm_params: {{{params}}}\n")
}

#[test]
fn both_places_are_read() {
    let item = "- {guardrail_name: NAME, litellm_params: {guardrail: pii, mode: pre_call}}";
    let yaml = format!(
        "guardrails:\n{}\nlitellm_settings:\n  guardrails:\n  {}\n",
        item.replace("NAME", "a"),
        item.replace("NAME", "b")
    );
    let (found, report) = load(&yaml);
    let found = found.unwrap();
    let names: Vec<_> = found.list.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["a", "b"], "{report}");
    assert!(!report.contains("guardrail"), "{report}");
    let twice = yaml.replace("NAME", "a").replace("guardrail_name: b", "guardrail_name: a");
    assert!(load(&twice).1.contains("the guardrail `a` is written twice"));
}

#[test]
fn modes_may_depend_on_tags() {
    let (found, report) = load(&entry(
        "guardrail: hide_secrets, default_on: true, unreachable_fallback: fail_open, mode: \
             {default: logging_only, tags: {prod: [pre_call, post_call]}}",
    ));
    let found = found.expect(&report);
    let one = &found.list[0];
    assert!(one.default_on && one.fails_open && one.kind == "hide-secrets");
    assert_eq!(one.when.modes(&[]), Modes::default().with(Mode::LoggingOnly));
    let of_prod = Modes::default().with(Mode::PreCall).with(Mode::PostCall);
    assert_eq!(one.when.modes(&["x".into(), "prod".into()]), of_prod);
}

#[test]
fn what_would_not_look_is_an_error() {
    for (params, problem) in [
        ("mode: pre_call", "needs its kind"),
        ("guardrail: lakera_v2, mode: pre_call", "`lakera_v2` are not available"),
        ("guardrail: pii", "needs to know when it looks"),
        ("guardrail: pii, mode: []", "would never look"),
        ("guardrail: pii, mode: precall", "did you mean `pre_call`?"),
        ("guardrail: pii, mode: during_call", "which `during_call` cannot"),
        ("guardrail: litellm_content_filter, mode: pre_call", "looks for nothing"),
        (
            "guardrail: litellm_content_filter, mode: pre_call, patterns: [{pattern: '('}]",
            "the expression cannot be used",
        ),
        (
            "guardrail: litellm_content_filter, mode: pre_call, patterns: [{pattern_name: mail}]",
            "there is no prebuilt pattern `mail`",
        ),
        (
            "guardrail: pii, mode: pre_call, pii_entities_config: {PERSON: MASK}",
            "`guardrail: presidio` finds it",
        ),
        ("guardrail: openai_moderation, mode: pre_call", "needs a key"),
        ("guardrail: generic_guardrail_api, mode: pre_call", "needs its address"),
        ("guardrail: presidio, mode: pre_call", "needs the address of its analyzer"),
        (
            "guardrail: presidio, mode: pre_call, presidio_analyzer_api_base: here",
            "must be an address of http or https",
        ),
    ] {
        let (found, report) = load(&entry(params));
        assert!(found.is_none() && report.contains(problem), "{params}: {report}");
    }
    let old = "guardrails:\n- prompt_injection: {callbacks: [lakera], default_on: true}\n";
    assert!(load(old).1.contains("no longer LiteLLM's"));
    let of_model = "guardrails: []\nmodel_list:\n- {model_name: a, litellm_params: \
                        {model: openai/a, api_key: k, guardrails: [nobody]}}\n";
    let loaded = load_text(Path::new("t.yaml"), of_model, &BTreeMap::new());
    let (report, _) = crate::config::report(&loaded.problems, false, false);
    assert!(report.contains("there is no guardrail `nobody`"), "{report}");
}
