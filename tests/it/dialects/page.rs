//! The cells as a page of the documentation.

use std::fmt::Write as _;

use super::clients::Speaks;
use super::{Feature, exception};

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
- **usage**: input, cached input and output tokens, the same whole and streamed.
- **error**: a 429 with `Retry-After` keeps both, in the form of the client's own errors.
- **error in the stream**: after the text so far, the client's own error event ends the stream, and never its \
usual end; a whole reply is an error with a status. The access log never calls it a success.

Bedrock, Cohere and Ollama are not in these tables: the scripted provider does not speak their dialects. They \
have tests of their own (`tests/it/bedrock.rs`, `tests/it/providers.rs`, `src/wire`).
";

/// The whole page.
pub(super) fn render() -> String {
    let mut page = String::from(INTRODUCTION);
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
        write!(page, "\n## {heading}\n\n{HEADER}").unwrap();
        for feature in Feature::ALL {
            let cells = ["openai", "azure", "anthropic", "gemini"]
                .map(|provider| exception(speaks, provider, feature).unwrap_or("yes"));
            writeln!(page, "| {} | {} |", name(feature), cells.join(" | ")).unwrap();
        }
    }
    page
}

const HEADER: &str = "\
| Feature | OpenAI | Azure OpenAI | Anthropic | Gemini |
|---|---|---|---|---|
";

fn name(feature: Feature) -> &'static str {
    match feature {
        Feature::Text => "text",
        Feature::Tools => "parallel tools",
        Feature::Image => "image",
        Feature::Thinking => "thinking",
        Feature::Schema => "structured output",
        Feature::Usage => "usage",
        Feature::Error => "error",
        Feature::Broken => "error in the stream",
    }
}
