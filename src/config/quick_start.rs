//! A configuration without a file: `tollgate --model openai/gpt-4o`.
//!
//! The flags become a text that goes the way of every file. Nobody has seen that text, so what is
//! wrong with it is told in the words of the flags and of the variables.

use std::path::Path;

use super::{Env, Loaded, Problem, Severity, load_text};
use crate::dialect::Dialect;
use crate::provider;

/// What the command line says instead of a file.
#[derive(Clone, Debug, Default)]
pub struct QuickStart {
    /// `--alias`: the name that clients ask for; by default the model's.
    pub alias: Option<String>,
    pub api_base: Option<String>,
    pub api_version: Option<String>,
    /// `--request_timeout`, in seconds.
    pub request_timeout: Option<f64>,
    pub drop_params: bool,
}

/// A line of the text, and the argument that it came from.
type Line = (String, Option<String>);

/// The configuration for one model, with the keys of the environment.
#[must_use]
pub fn quick_start(model: &str, options: &QuickStart, env: &dyn Env) -> Loaded {
    let missing = missing_variables(model, options, env);
    if !missing.is_empty() {
        let (outline, files) = Default::default();
        return Loaded { snapshot: None, problems: missing, outline, files };
    }
    let lines = lines(model, options);
    let text: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    let mut loaded = load_text(Path::new("the command line"), &text, env);
    if loaded.snapshot.is_none() {
        // What is only doubtful is of no interest before it starts.
        loaded.problems.retain(|problem| problem.severity == Severity::Error);
    }
    for problem in &mut loaded.problems {
        *problem = in_words_of_flags(problem, &lines);
    }
    // The name is a part of the model's unless `--alias` is written, and is as wrong as that.
    loaded.problems.dedup_by(|b, a| a.message == b.message && a.file == b.file);
    if let Some(snapshot) = &mut loaded.snapshot {
        snapshot.warnings =
            loaded.problems.iter().map(|problem| problem.one_line().into()).collect();
    }
    loaded
}

fn lines(model: &str, options: &QuickStart) -> Vec<Line> {
    let QuickStart { alias, api_base, api_version, request_timeout, drop_params } = options;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let argument = |flag: &str, text: &str| Some(format!("{flag} {text}"));
    let text = |indent: &str, name: &str, flag: &str, value: &str| -> Line {
        (format!("{indent}{name}: {}", quoted(value)), argument(flag, value))
    };
    let mut lines: Vec<Line> = vec![("model_list:".to_owned(), None)];
    lines.push(match alias {
        Some(alias) => text("- ", "model_name", "--alias", alias),
        None => text("- ", "model_name", "--model", model),
    });
    lines.push(("  litellm_params:".to_owned(), argument("--model", model)));
    lines.push(text("    ", "model", "--model", model));
    for (name, flag, value) in
        [("api_base", "--api_base", api_base), ("api_version", "--api_version", api_version)]
    {
        lines.extend(value.as_ref().map(|value| text("    ", name, flag, value)));
    }
    lines.push(("litellm_settings:".to_owned(), None));
    if let Some(seconds) = request_timeout {
        let line = format!("  request_timeout: {seconds}");
        lines.push((line, argument("--request_timeout", &seconds.to_string())));
    }
    lines.push((format!("  drop_params: {drop_params}"), None));
    lines
}

/// Variables without which the provider cannot be called.
fn missing_variables(model: &str, options: &QuickStart, env: &dyn Env) -> Vec<Problem> {
    let Some((vendor, _)) = provider::recognise(model) else { return Vec::new() };
    let is_set = |name: &&str| env.var(name).is_some_and(|value| !value.trim().is_empty());
    let or = |variables: &[&str]| match variables {
        [_, others @ ..] if !others.is_empty() => format!(" (or {})", others.join(", ")),
        _ => String::new(),
    };
    if matches!(vendor.cloud(), Some(provider::Cloud::Aws | provider::Cloud::Google)) {
        // Its address depends on the region, and who calls is found when it is called.
        return Vec::new();
    }
    let argument = format!("--model {model}");
    let mut problems = Vec::new();
    let own_base = options.api_base.is_some() || vendor.base_vars.iter().any(&is_set);
    if let Some(variable) = vendor.base_vars.first()
        && vendor.support != provider::Support::NotYet
        && vendor.base_url.is_none()
        && !own_base
    {
        problems.push(Problem::of_argument(
            &argument,
            format!("the address of `{}` is not known: {variable} is not set", vendor.name),
            Some(format!("add `--api_base URL`, or run `export {variable}=https://...`")),
        ));
    }
    // A server of one's own may do without a key.
    let asks_for_key = vendor.needs_key && (!own_base || vendor.dialect == Dialect::Azure);
    if let Some(variable) = vendor.key_vars.first()
        && asks_for_key
        && !vendor.key_vars.iter().any(is_set)
    {
        problems.push(Problem::of_argument(
            &argument,
            format!("{variable}{} is not set", or(vendor.key_vars)),
            Some(format!(
                "run `export {variable}=...`; `tollgate demo` runs without any provider's key"
            )),
        ));
    }
    problems
}

/// The problem of a line as a problem of the argument that it came from.
fn in_words_of_flags(problem: &Problem, lines: &[Line]) -> Problem {
    let line = (problem.line as usize).checked_sub(1).and_then(|at| lines.get(at));
    let argument = line.and_then(|(_, argument)| argument.as_deref());
    let words = [
        ("`model_name`", "the name"),
        ("`model`", "`--model`"),
        ("`api_base:`", "`--api_base URL`"),
        ("`api_base`", "`--api_base`"),
        ("`api_version`", "`--api_version`"),
        ("`request_timeout`", "`--request_timeout`"),
    ];
    let said =
        |text: &str| words.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
    // Help that tells where to write something in a file is of no use here.
    let about_files = ["beside `model`", "under `", "`api_key: ", "ignore_invalid"];
    let help =
        problem.help.as_deref().filter(|help| !about_files.iter().any(|it| help.contains(it)));
    let help = match argument {
        None if problem.message.contains("master key") => {
            Some("run `export LITELLM_MASTER_KEY=sk-...` with a long random key".to_owned())
        }
        _ => help.map(said),
    };
    let mut said =
        Problem::of_argument(argument.unwrap_or("tollgate"), said(&problem.message), help);
    said.severity = problem.severity;
    said
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::report;

    /// What is shown for these flags, with these variables set.
    fn shown(model: &str, options: &QuickStart, variables: &[(&str, &str)]) -> String {
        let env: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        report(&quick_start(model, options, &env).problems, false, false).0
    }

    #[test]
    fn problems_speak_of_flags_and_variables() {
        let with_base =
            |base: &str| QuickStart { api_base: Some(base.into()), ..QuickStart::default() };
        let none = QuickStart::default();
        let key = [("OPENAI_API_KEY", "k"), ("LITELLM_MASTER_KEY", "sk-0123456789abcdef0123")];
        for (model, options, variables, expected) in [
            (
                "openai/gpt-4o",
                none.clone(),
                &[][..],
                "--model openai/gpt-4o: error: OPENAI_API_KEY is not set\n  help: run `export \
                 OPENAI_API_KEY=...`; `tollgate demo` runs without any provider's key\n",
            ),
            (
                "gpt-4o",
                none.clone(),
                &[("OPENAI_API_KEY", " ")],
                "--model gpt-4o: error: OPENAI_API_KEY is not set\n  help: run `export \
                 OPENAI_API_KEY=...`; `tollgate demo` runs without any provider's key\n",
            ),
            (
                "azure/mine",
                none.clone(),
                &[("AZURE_API_KEY", "k")],
                "--model azure/mine: error: the address of `azure` is not known: AZURE_API_BASE is \
                 not set\n  help: add `--api_base URL`, or run `export AZURE_API_BASE=https://...`\n",
            ),
            (
                "azure/mine",
                with_base("https://x.openai.azure.com"),
                &[],
                "--model azure/mine: error: AZURE_OPENAI_API_KEY (or AZURE_API_KEY) is not set\n  \
                 help: run `export AZURE_OPENAI_API_KEY=...`; `tollgate demo` runs without any \
                 provider's key\n",
            ),
            (
                "grok/x",
                none.clone(),
                &key,
                "--model grok/x: error: `grok` is not a provider\n  help: did you mean `groq/x`?\n",
            ),
            (
                "nope/x",
                none.clone(),
                &key,
                "--model nope/x: error: `nope` is not a provider\n  help: write `openai/nope/x` and \
                 `--api_base URL` for a server that speaks OpenAI's API\n",
            ),
            (
                "sagemaker/x",
                none.clone(),
                &key,
                "--model sagemaker/x: error: the provider `sagemaker` is not available in this version: its calls are signed with AWS credentials\n",
            ),
            (
                "openai/x",
                with_base("ftp://x"),
                &key,
                "--api_base ftp://x: error: `--api_base` must begin with https:// or http://\n",
            ),
            (
                "openai/x",
                with_base("http://example.com"),
                &key,
                "--api_base http://example.com: warning: `--api_base` is not https: the key is sent \
                 in clear\n--api_base http://example.com: warning: the key in `OPENAI_API_KEY` is \
                 sent to `example.com`\n",
            ),
            (
                "openai/x",
                with_base("http://localhost:1"),
                &[],
                "tollgate: warning: there is no master key: the gateway listens on loopback only\n  \
                 help: run `export LITELLM_MASTER_KEY=sk-...` with a long random key\n",
            ),
            ("openai/", none.clone(), &key, "--model openai/: error: `openai/` names no model\n"),
            (
                "openai/x",
                QuickStart { alias: Some(String::new()), ..none.clone() },
                &key,
                "--alias : error: the name is empty\n",
            ),
            ("openai/x", none, &key, ""),
        ] {
            assert_eq!(shown(model, &options, variables), expected, "{model} {options:?}");
        }
    }

    #[test]
    fn no_problem_shows_the_key() {
        let base = Some("http://user:sk-0123456789@example.com".to_owned());
        let options = QuickStart { api_base: base, ..QuickStart::default() };
        let shown = shown("openai/x", &options, &[("OPENAI_API_KEY", "sk-abcdefghijkl")]);
        assert!(!shown.contains("sk-0123456789") && !shown.contains("sk-abcdefghijkl"), "{shown}");
    }
}
