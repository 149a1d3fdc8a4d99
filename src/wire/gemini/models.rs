//! What the generations of Gemini accept: facts that the translation depends on.
//!
//! A model is found by the version in its name, whoever serves it. A name without a version
//! (`gemini-flash-latest`, a tuned model) is taken for the newest.

/// How a model is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinks {
    No,
    /// `thinkingBudget`, in tokens.
    Budget {
        least: u64,
        can_rest: bool,
    },
    /// `thinkingLevel`; these are the words it knows, from less to more.
    Level(&'static [&'static str]),
}

/// What one model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// `parametersJsonSchema` and `responseJsonSchema`, and the calling mode `VALIDATED`.
    pub(super) json_schema: bool,
    pub(super) thinks: Thinks,
    /// Refuses tool calls in the history that lack their thought signature.
    pub(super) wants_signatures: bool,
    /// Ids of calls, which have to stand on the results too.
    pub(super) call_ids: bool,
    /// `functionResponse.parts`.
    pub(super) media_results: bool,
    /// Functions together with an answer in JSON.
    pub(super) tools_with_json: bool,
    /// Fetches public addresses of images and documents.
    pub(super) fetches: bool,
    /// `systemInstruction`.
    pub(super) system: bool,
}

/// A version in two numbers: 2.5 is `(2, 5)`.
type Version = (u8, u8);

const NEWEST: Version = (u8::MAX, 0);

impl Capabilities {
    /// The facts for a model name, with or without prefixes and dates.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        if model.contains("gemma") {
            return Self { thinks: Thinks::No, system: false, ..Self::at((2, 0), "") };
        }
        let name = model.split_once("gemini").map_or(model.as_str(), |(_, name)| name);
        Self::at(version(name), name)
    }

    fn at(version: Version, name: &str) -> Self {
        let special = ["image", "tts", "audio", "embedding"].iter().any(|kind| name.contains(kind));
        let is = |kind: &str| name.contains(kind);
        let thinks = match version {
            _ if special => Thinks::No,
            (3.., minor) => Thinks::Level(match (version.0, minor) {
                (3, 0) if is("pro") => &["LOW", "HIGH"],
                (3, 0..5) if is("pro") => &["LOW", "MEDIUM", "HIGH"],
                (3, 0..5) => &["MINIMAL", "LOW", "MEDIUM", "HIGH"],
                _ if is("pro") => &["LOW", "MEDIUM", "HIGH", "XHIGH"],
                _ => &["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"],
            }),
            (2, 5..) if is("pro") => Thinks::Budget { least: 128, can_rest: false },
            (2, 5..) if is("lite") => Thinks::Budget { least: 512, can_rest: true },
            (2, 5..) => Thinks::Budget { least: 1, can_rest: true },
            _ => Thinks::No,
        };
        Self {
            json_schema: version >= (2, 5),
            thinks,
            wants_signatures: version >= (3, 0),
            call_ids: version >= (3, 5),
            media_results: version >= (3, 0),
            tools_with_json: version >= (3, 0),
            fetches: version >= (2, 5),
            system: true,
        }
    }
}

/// The first number of a name that can be a version; a date has more digits.
fn version(name: &str) -> Version {
    // `gemini-pro` and `gemini-pro-vision` are the first ones, and had no number.
    if matches!(name, "-pro" | "-pro-vision" | "-ultra") {
        return (1, 0);
    }
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let number = |word: &str| -> Option<Version> {
        let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
        let short = major.len() <= 2 && minor.len() <= 2;
        Some((major.parse().ok().filter(|_| short)?, minor.parse().ok()?))
    };
    words.into_iter().find_map(number).unwrap_or(NEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_version() {
        for (name, expected) in [
            ("gemini-2.5-pro", (2, 5)),
            ("models/gemini-2.5-flash-preview-05-20", (2, 5)),
            ("gemini-2.0-flash-001", (2, 0)),
            ("gemini-1.5-pro-002", (1, 5)),
            ("gemini-pro", (1, 0)),
            ("gemini-3-pro-preview", (3, 0)),
            ("gemini-3.5-flash", (3, 5)),
            ("gemini-flash-latest", NEWEST),
            ("my-tuned-model", NEWEST),
        ] {
            let name = name.split_once("gemini").map_or(name, |(_, name)| name);
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[test]
    fn each_generation_is_told_to_think_in_its_own_way() {
        let thinks = |name| Capabilities::of(name).thinks;
        assert_eq!(thinks("gemini-2.0-flash"), Thinks::No);
        assert_eq!(thinks("gemma-3-27b-it"), Thinks::No);
        assert_eq!(thinks("gemini-2.5-flash-image"), Thinks::No);
        assert_eq!(thinks("gemini-2.5-pro"), Thinks::Budget { least: 128, can_rest: false });
        assert_eq!(thinks("gemini-2.5-flash-lite"), Thinks::Budget { least: 512, can_rest: true });
        assert_eq!(thinks("gemini-3-pro-preview"), Thinks::Level(&["LOW", "HIGH"]));
        let Thinks::Level(words) = thinks("gemini-3.5-flash") else { panic!("it has levels") };
        assert_eq!((words[0], words.len()), ("MINIMAL", 5));
    }
}
