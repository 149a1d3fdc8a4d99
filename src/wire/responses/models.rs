//! Which models need the Responses API, judged by the model's name.
//!
//! | model | chat API |
//! | --- | --- |
//! | `gpt-5.2` to `gpt-5.5` | refuses function tools beside a reasoning effort |
//! | `gpt-5.6`, `gpt-6` and later | refuse function tools unless the effort is `none` |
//! | `*-pro` of o1, o3 and gpt-5 on, `*-codex*`, `*-deep-research*`, `computer-use-preview` | does not offer them |
//!
//! Chat variants (`gpt-5.2-chat-latest`) do not reason, and are served as ever.

use crate::wire::fields::Fields;

/// What a model needs the Responses API for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// Function tools, if an effort is set; `by_default`: also if none is.
    Tools {
        by_default: bool,
    },
    Everything,
}

/// What `model` needs it for. The name may have a provider before it.
#[must_use]
pub fn need(model: &str) -> Need {
    let name = model.rsplit('/').next().unwrap_or(model);
    if name.contains("-codex")
        || name.starts_with("codex-")
        || name.contains("-deep-research")
        || name.starts_with("computer-use-preview")
    {
        return Need::Everything;
    }
    let family = ["o1", "o3"].iter().any(|family| name.starts_with(family));
    let Some((major, minor)) = version(name) else {
        return if family && is_pro(name) { Need::Everything } else { Need::Nothing };
    };
    match (major, minor) {
        _ if name.contains("-chat") => Need::Nothing,
        (5.., _) if is_pro(name) => Need::Everything,
        (5, 2..=5) => Need::Tools { by_default: false },
        (5, 6..) | (6.., _) => Need::Tools { by_default: true },
        _ => Need::Nothing,
    }
}

/// Whether the model reasons, as far as its name tells: then what it thought can be asked for.
pub(super) fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let family = ["o1", "o3", "o4"].iter().any(|family| {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    let reasons = version(name).is_some_and(|(major, _)| major >= 5) && !name.contains("-chat");
    family || reasons || name.starts_with("codex-")
}

/// Whether the model will reason, asked for this effort (JSON); then it refuses to be told how to
/// sample. Unlike the chat API, this one has models that never go without.
pub(super) fn will_reason(model: &str, effort: Option<&[u8]>) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let effort = effort.filter(|effort| *effort != b"null");
    if !reasons(model) || effort == Some(b"\"none\"") {
        return false;
    }
    match version(name) {
        Some((5, 1..=5)) => effort.is_some() || is_pro(name) || name.contains("-codex"),
        _ => true,
    }
}

/// `gpt-5-pro`, `o3-pro-2025-06-10`; not `gpt-5-professor`.
fn is_pro(name: &str) -> bool {
    name.split('-').any(|part| part == "pro")
}

/// The version in `gpt-5.6-terra`.
fn version(name: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix("gpt-")?;
    let version = rest.split('-').next().unwrap_or(rest);
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Need {
    /// Whether a request needs it.
    #[must_use]
    pub fn holds(self, fields: &Fields<'_>) -> bool {
        let Self::Tools { by_default } = self else { return self == Self::Everything };
        let some = |name: &str| {
            fields.raw(name).is_some_and(|raw| {
                raw.strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
            })
        };
        let needs = match fields.raw("reasoning_effort") {
            None => by_default || fields.raw("reasoning").is_some(),
            Some(effort) => effort != "\"none\"",
        };
        needs && (some("tools") || some("functions"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_as_documented() {
        for (name, expected) in [
            ("gpt-4o", Need::Nothing),
            ("gpt-5-mini", Need::Nothing),
            ("gpt-5.1", Need::Nothing),
            ("gpt-5.2", Need::Tools { by_default: false }),
            ("gpt-5.4-2026-03-05", Need::Tools { by_default: false }),
            ("gpt-5.2-chat-latest", Need::Nothing),
            ("gpt-5.6-terra", Need::Tools { by_default: true }),
            ("gpt-6-luna", Need::Tools { by_default: true }),
            ("gpt-6.1-sol", Need::Tools { by_default: true }),
            ("openai/gpt-6-astra", Need::Tools { by_default: true }),
            ("gpt-5-pro", Need::Everything),
            ("gpt-5.2-pro-2025-12-11", Need::Everything),
            ("gpt-5.1-codex-max", Need::Everything),
            ("codex-mini-latest", Need::Everything),
            ("o1-pro", Need::Everything),
            ("o3-pro-2025-06-10", Need::Everything),
            ("o3-deep-research", Need::Everything),
            ("o3-mini", Need::Nothing),
            ("gpt-oss-120b", Need::Nothing),
            ("my-deployment", Need::Nothing),
            ("", Need::Nothing),
        ] {
            assert_eq!(need(name), expected, "{name}");
        }
        assert!(reasons("o3-mini") && reasons("gpt-5.1-codex") && !reasons("gpt-4o"));
        assert!(!reasons("gpt-5-chat-latest") && !reasons("o1x"));
        let low = Some(&b"\"low\""[..]);
        let none = Some(&b"\"none\""[..]);
        assert!(will_reason("gpt-5", None) && will_reason("openai/o3", None));
        assert!(!will_reason("gpt-5.2", None) && will_reason("gpt-5.2", low));
        assert!(will_reason("gpt-5.2-pro", None) && will_reason("gpt-5.1-codex", None));
        assert!(will_reason("gpt-6", None) && !will_reason("gpt-6", none));
        assert!(!will_reason("gpt-4o", low));
    }
}
