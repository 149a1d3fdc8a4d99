//! Tools and the choice among them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::PROVIDER;
use super::models::Capabilities;
use super::names::known_name;
use super::schema::{Unfit, fit, fit_parameters};
use crate::failure::Failure;
use crate::wire::chat::{Choice, FunctionTool, Raw, Tools};
use crate::wire::fields::{Fields, Text, impossible, invalid, read, unsupported};
use crate::wire::json::Node;

/// Tools that Google runs itself, by the names that clients write for them: its own, its SDK's,
/// and those of other vendors for the same thing.
const HOSTED: [(&str, &[&str]); 8] = [
    (
        "googleSearch",
        &["google_search", "web_search", "web_search_preview", "web_search_2025_08_26"],
    ),
    ("googleSearchRetrieval", &["google_search_retrieval"]),
    ("codeExecution", &["code_execution", "code_interpreter"]),
    ("urlContext", &["url_context"]),
    ("googleMaps", &["google_maps"]),
    ("enterpriseWebSearch", &["enterprise_web_search"]),
    ("computerUse", &["computer_use"]),
    ("fileSearch", &["file_search"]),
];

/// What a request says about tools.
#[derive(Debug, Default)]
pub(super) struct Tooling<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) config: Option<Config<'a>>,
    /// Functions of the client's are among them.
    pub(super) functions: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    #[serde(rename_all = "camelCase")]
    Functions {
        function_declarations: Vec<Declaration<'a>>,
    },
    Hosted(BTreeMap<Cow<'a, str>, Settings<'a>>),
}

/// What a hosted tool is told; nothing, most of the time.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Settings<'a> {
    None {},
    Written(Raw<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Declaration<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Text<'a>>,
    /// OpenAPI's subset.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Raw<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<Cow<'a, str>>,
}

impl<'a> Tooling<'a> {
    /// Reads tools and choice from a request.
    pub(super) fn of(
        fields: &Fields<'a>,
        model: &Capabilities,
        vertex: bool,
        drop_params: bool,
    ) -> Result<Self, Failure> {
        let Tools { functions, others } = Tools::of(fields)?;
        let mut declarations = Vec::with_capacity(functions.len());
        for (at, function) in functions.into_iter().enumerate() {
            declarations.push(declaration(&format!("tools[{at}].function"), function, model)?);
        }
        if declarations.len() > 1
            && fields.raw("parallel_tool_calls") == Some("false")
            && !drop_params
        {
            return Err(unsupported(PROVIDER, "parallel_tool_calls"));
        }
        let mut hosted = BTreeMap::new();
        for (kind, raw) in others {
            read_hosted(&kind, raw, vertex, drop_params, &mut hosted)?;
        }
        if fields.raw("web_search_options").is_some() {
            hosted.entry("googleSearch".into()).or_insert(Settings::None {});
        }
        let config = match Choice::of(fields)? {
            Some(choice) if !declarations.is_empty() => calling(choice, model, &mut declarations)?,
            _ => None,
        };
        let functions = !declarations.is_empty();
        let mut tools = Vec::new();
        if functions {
            tools.push(Tool::Functions { function_declarations: declarations });
        }
        tools.extend(
            hosted
                .into_iter()
                .map(|(name, settings)| Tool::Hosted(std::iter::once((name, settings)).collect())),
        );
        Ok(Self { tools, config, functions })
    }
}

fn declaration<'a>(
    param: &str,
    function: FunctionTool<'a>,
    model: &Capabilities,
) -> Result<Declaration<'a>, Failure> {
    let place = format!("{param}.name");
    let name = known_name(&place, function.name.0)?;
    let schema = function.parameters.filter(|schema| schema.get() != "null");
    let (mut parameters, mut parameters_json_schema) = (None, None);
    match schema {
        Some(schema) if model.json_schema => parameters_json_schema = Some(schema),
        Some(schema) => {
            let place = format!("{param}.parameters");
            let schema: Node = read(&place, schema.get())?;
            parameters = fit_parameters(&schema).map_err(|unfit| refused(&place, &unfit))?;
        }
        None => {}
    }
    let description = function.description.filter(|text| !text.is_empty());
    Ok(Declaration { name, description, parameters, parameters_json_schema })
}

/// A schema in the subset that older models take.
pub(super) fn fitted(param: &str, schema: &RawValue) -> Result<Node, Failure> {
    let schema: Node = read(param, schema.get())?;
    fit(&schema).map_err(|unfit| refused(param, &unfit))
}

fn refused(param: &str, unfit: &Unfit) -> Failure {
    invalid(param, format!("`{param}`: {unfit}"))
}

/// A tool that is no function: by its type, or as Google writes it, by its only field.
fn read_hosted<'a>(
    kind: &str,
    raw: Raw<'a>,
    vertex: bool,
    drop_params: bool,
    hosted: &mut BTreeMap<Cow<'a, str>, Settings<'a>>,
) -> Result<(), Failure> {
    let own = |name: &str| {
        let known = HOSTED.iter().find(|(own, others)| *own == name || others.contains(&name));
        known.map(|(own, _)| *own).filter(|own| !vertex || *own != "fileSearch")
    };
    let refused = |kind: &str| match drop_params {
        true => Ok(()),
        false => {
            let message = format!("`tools`: {PROVIDER} models have no tool of type `{kind}`");
            Err(impossible("tools", message))
        }
    };
    if !kind.is_empty() {
        return match own(kind) {
            Some(own) => {
                hosted.entry(own.into()).or_insert(Settings::None {});
                Ok(())
            }
            None => refused(kind),
        };
    }
    let written: BTreeMap<String, Raw<'a>> = read("tools", raw.get())?;
    for (name, settings) in written {
        match own(&name) {
            Some(own) => {
                hosted.insert(own.into(), Settings::Written(settings));
            }
            None => refused(&name)?,
        }
    }
    Ok(())
}

fn calling<'a>(
    choice: Choice<'a>,
    model: &Capabilities,
    declarations: &mut Vec<Declaration<'a>>,
) -> Result<Option<Config<'a>>, Failure> {
    let names = |written: Vec<Cow<'a, str>>| -> Result<Vec<_>, Failure> {
        written.into_iter().map(|written| known_name("tool_choice", written)).collect()
    };
    let (mode, allowed_function_names) = match choice {
        Choice::Auto => ("AUTO", Vec::new()),
        Choice::None => ("NONE", Vec::new()),
        Choice::Required => ("ANY", Vec::new()),
        Choice::Function(name) => ("ANY", names(vec![name])?),
        Choice::Allowed { names: allowed, required: true } => ("ANY", names(allowed)?),
        Choice::Allowed { names: allowed, required: false } if model.json_schema => {
            ("VALIDATED", names(allowed)?)
        }
        Choice::Allowed { names: allowed, required: false } => {
            // Older models cannot be told; they do not see the others.
            let allowed = names(allowed)?;
            declarations.retain(|declaration| allowed.contains(&declaration.name));
            if declarations.is_empty() {
                let message = "`tool_choice` allows only tools that are not among `tools`";
                return Err(invalid("tool_choice", message));
            }
            ("AUTO", Vec::new())
        }
    };
    Ok(Some(Config { function_calling_config: Calling { mode, allowed_function_names } }))
}
