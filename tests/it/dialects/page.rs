//! The cells as a page of the documentation.

use std::fmt::Write as _;

use super::clients::Speaks;
use super::providers::COLUMNS;
use super::{Feature, cell};

const INTRODUCTION: &str = "\
# Which client gets what from which provider

Written by the test that holds the gateway to it (`tests/it/dialects`): each cell below is two requests \
to the real executable with a scripted provider behind it, one for a whole reply and one for a \
stream. Where the cell is `yes`, both came as the client's SDK wants them. Change the cells there and run \
`TOLLGATE_BLESS=1 cargo test --test it dialects`.

- **text**: the text and the client's own word for its end.
- **parallel tools**: two calls in one reply, with their arguments and in their order.
- **image**: an image in the request, as base64, reaches the provider with its type.
- **thinking**: what the model thought, in the client's own place for it and not in the text; the wish for \
it reaches the provider. OpenAI and Azure tell thoughts by their Responses API alone: here `reasoning_content` \
is scripted, as DeepSeek, vLLM and others of OpenAI's dialect write it.
- **structured output**: the schema reaches the provider in its own field.
- **tool results**: a history with two parallel calls and their results reaches the provider in its own \
places, each result with its call.
- **thinking replayed**: what the provider signed or sealed (Anthropic's signatures, Google's thought \
signatures, OpenAI's encrypted reasoning) goes to the client and comes back to the provider with the next \
request. For clients of chat completions also where the client drops all that OpenAI's API does not have: \
the gateway puts it back.
- **usage**: input, cached input and output tokens, the same whole and streamed.
- **error**: a 429 with `Retry-After` keeps both, in the form of the client's own errors.
- **error in the stream**: after the text so far, the client's own error event ends the stream, and never its \
usual end; a whole reply is an error with a status. The access log never calls it a success.

The same is asked with official SDKs as clients (`scripts/clients`): `openai` (chat completions and Responses), \
`anthropic` and `google-genai` for Python, `openai` (both) and `@anthropic-ai/sdk` for Node, each before every provider of \
these tables: text, image, parallel tools and their results, thinking, structured output, usage, error, and error in \
the stream, whole and streamed. Of early releases, `openai` 1.3 and `anthropic` 0.18 are asked what they know. Every request \
that the Python SDKs cause at Bedrock is judged by Amazon's own model of its API (botocore). Cohere's SDK asks for what the \
gateway has of its API, reranking.
";

/// The whole page.
pub(super) fn render() -> String {
    let mut page = String::from(INTRODUCTION);
    let titles = COLUMNS.map(|(_, title)| title).join(" | ");
    let header = format!("| Feature | {titles} |\n|---|{}\n", "---|".repeat(COLUMNS.len()));
    for speaks in Speaks::ALL {
        let heading = match speaks {
            Speaks::Chat => "Clients of chat completions (`/v1/chat/completions`)",
            Speaks::Messages => "Clients of Anthropic's Messages (`/v1/messages`)",
            Speaks::Responses => "Clients of OpenAI's Responses (`/v1/responses`)",
            Speaks::Gemini => {
                "Clients of Gemini (`/v1beta/models/{model}:generateContent`, \
                 `:streamGenerateContent`)"
            }
        };
        write!(page, "\n## {heading}\n\n{header}").unwrap();
        for feature in Feature::ALL {
            let cells = COLUMNS.map(|(provider, _)| cell(provider, feature));
            writeln!(page, "| {} | {} |", name(feature), cells.join(" | ")).unwrap();
        }
    }
    page
}

fn name(feature: Feature) -> &'static str {
    match feature {
        Feature::Text => "text",
        Feature::Tools => "parallel tools",
        Feature::Image => "image",
        Feature::Thinking => "thinking",
        Feature::Schema => "structured output",
        Feature::Results => "tool results",
        Feature::Replayed => "thinking replayed",
        Feature::Usage => "usage",
        Feature::Error => "error",
        Feature::Broken => "error in the stream",
    }
}
