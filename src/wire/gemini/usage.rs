//! Gemini's token counts, in OpenAI's convention.
//!
//! What was thought is counted beside what was said, and what server-side tools put into the prompt
//! beside the prompt; OpenAI counts both inside. In a stream every frame repeats the counts so far.

use serde::Deserialize;

use crate::usage::Usage;
use crate::wire::chat::Shown;

/// `usageMetadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    /// What a cache answered is in it.
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    total_token_count: Option<u64>,
    prompt_tokens_details: Option<Vec<OfModality>>,
    candidates_tokens_details: Option<Vec<OfModality>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfModality {
    modality: Modality,
    token_count: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Modality {
    Image,
    Audio,
    /// Text, and what nobody asks for apart.
    #[default]
    #[serde(other)]
    Other,
}

fn of(details: Option<&Vec<OfModality>>, modality: Modality) -> u64 {
    let those = details.into_iter().flatten().filter(|count| count.modality == modality);
    those.map(|count| count.token_count.unwrap_or(0)).sum()
}

impl Counts {
    /// The counts in our convention.
    pub(super) fn usage(&self) -> Usage {
        let prompt = self.prompt_token_count.unwrap_or(0);
        let tools = self.tool_use_prompt_token_count.unwrap_or(0);
        let input_tokens = prompt.saturating_add(tools);
        let thoughts = self.thoughts_token_count.unwrap_or(0);
        let output_tokens = match (self.candidates_token_count, self.total_token_count) {
            // Some models count what they thought as a part of what they said.
            (Some(said), Some(total)) if said >= thoughts && input_tokens + said == total => said,
            (Some(said), _) => said.saturating_add(thoughts),
            (None, Some(total)) => total.saturating_sub(input_tokens).max(thoughts),
            (None, None) => thoughts,
        };
        let said = self.candidates_tokens_details.as_ref();
        let asked = self.prompt_tokens_details.as_ref();
        Usage {
            input_tokens,
            output_tokens,
            cache_read_tokens: self.cached_content_token_count.unwrap_or(0).min(input_tokens),
            reasoning_tokens: thoughts.min(output_tokens),
            audio_input_tokens: of(asked, Modality::Audio),
            audio_output_tokens: of(said, Modality::Audio),
            image_input_tokens: of(asked, Modality::Image),
            ..Usage::default()
        }
    }

    /// The counts as a client of OpenAI reads them. Of a prompt that was refused there is nothing to
    /// take apart.
    pub(super) fn shown(&self) -> Shown {
        let usage = self.usage();
        let shown = Shown::of(&usage, self.thoughts_token_count.is_some()).without_cache_writes();
        let is_bare = usage.output_tokens == 0 && usage.cache_read_tokens == 0;
        if is_bare { shown.without_details() } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<Counts>(json).unwrap().usage()
    }

    #[test]
    fn what_is_counted_apart_is_put_together() {
        let counted = usage(
            r#"{"promptTokenCount":13,"candidatesTokenCount":4,"thoughtsTokenCount":52,
                "toolUsePromptTokenCount":7,"cachedContentTokenCount":10,"totalTokenCount":76,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":3},
                {"modality":"IMAGE","tokenCount":8},{"modality":"AUDIO","tokenCount":2}]}"#,
        );
        let expected = Usage {
            input_tokens: 20,
            output_tokens: 56,
            cache_read_tokens: 10,
            reasoning_tokens: 52,
            audio_input_tokens: 2,
            image_input_tokens: 8,
            ..Usage::default()
        };
        assert_eq!(counted, expected);
    }

    #[test]
    fn thoughts_are_not_counted_twice() {
        let inside = r#"{"promptTokenCount":10,"candidatesTokenCount":30,"thoughtsTokenCount":20,"totalTokenCount":40}"#;
        assert_eq!(usage(inside).output_tokens, 30);
        let beside = r#"{"promptTokenCount":10,"candidatesTokenCount":30,"thoughtsTokenCount":20,"totalTokenCount":60}"#;
        assert_eq!(usage(beside).output_tokens, 50);
    }

    #[test]
    fn counts_may_be_missing() {
        for (json, input, output) in [
            ("{}", 0, 0),
            (r#"{"promptTokenCount":9,"totalTokenCount":9}"#, 9, 0),
            (r#"{"promptTokenCount":9,"thoughtsTokenCount":5,"totalTokenCount":14}"#, 9, 5),
            (r#"{"promptTokenCount":9,"candidatesTokenCount":5}"#, 9, 5),
            (
                r#"{"promptTokenCount":null,"candidatesTokensDetails":null,"totalTokenCount":3}"#,
                0,
                3,
            ),
        ] {
            let usage = usage(json);
            assert_eq!((usage.input_tokens, usage.output_tokens), (input, output), "{json}");
        }
    }
}
