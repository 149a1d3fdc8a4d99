//! `credential_list`: credentials that deployments take over by name.

use super::Sections;
use crate::config::options::CREDENTIAL;
use crate::config::problem::{Finding, Problems, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::Entry;

/// Options of `litellm_params`, under the name that deployments use.
pub(super) struct Credential<'a> {
    name: &'a str,
    values: &'a [Entry],
}

pub(super) fn read<'a>(sections: &mut Sections<'a>) -> Vec<Credential<'a>> {
    let problems = sections.top.problems;
    let Some(entry) = sections.top.entry("credential_list") else { return Vec::new() };
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`credential_list` must be a list, found {found}");
        problems.push(Finding::error(entry.value_spot(), message));
        return Vec::new();
    };
    let mut credentials: Vec<Credential<'a>> = Vec::new();
    for item in items {
        let mut section = Section::new(&CREDENTIAL, item, item.spot, problems);
        let name = section.text("credential_name");
        let values = section.entry("credential_values");
        section.entry("credential_info");
        match (name, values.and_then(|entry| entry.node.map())) {
            (Some(At { value, spot }), Some(_))
                if credentials.iter().any(|known| known.name == value) =>
            {
                let message = format!("the credential `{value}` is written twice");
                problems.push(Finding::error(spot, message));
            }
            (Some(At { value: name, .. }), Some(values)) => {
                credentials.push(Credential { name, values });
            }
            (None, _) | (_, None) => problems.push(
                Finding::error(section.spot, "a credential needs a name and values")
                    .help("write `credential_name:` and, as a mapping, `credential_values:`"),
            ),
        }
        section.finish();
    }
    credentials
}

/// The entries of `litellm_params` with those of the credential they name; what the deployment
/// itself says wins.
pub(super) fn apply(
    params: &[Entry],
    credentials: &[Credential<'_>],
    problems: &Problems,
) -> Vec<Entry> {
    let mut all = params.to_vec();
    let named = params.iter().find(|entry| &*entry.key == "litellm_credential_name");
    let Some((entry, name)) = named.and_then(|entry| Some((entry, entry.node.text()?))) else {
        return all;
    };
    match credentials.iter().find(|credential| credential.name == name) {
        Some(credential) => {
            for entry in credential.values {
                if !params.iter().any(|known| known.key == entry.key) {
                    all.push(entry.clone());
                }
            }
        }
        None => {
            let near = nearest(name, credentials.iter().map(|credential| credential.name));
            let help = match near {
                Some((near, _)) => format!("did you mean `{near}`?"),
                None => "add it to `credential_list`".to_owned(),
            };
            let message = format!("there is no credential `{name}`");
            problems.push(Finding::error(entry.node.spot, message).help(help));
        }
    }
    all
}
