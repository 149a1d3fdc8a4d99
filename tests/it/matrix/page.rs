//! The table as a page of the documentation.

use std::fmt::Write as _;

use super::table::MATRIX;
use super::{Around, Request};

const INTRODUCTION: &str = "\
# What happens when a provider fails

Written by the test that holds the gateway to it (`tests/it/matrix`): each line below is a request \
to the real executable with scripted providers behind it. Change the table there and run \
`TOLLGATE_BLESS=1 cargo test --test it matrix`.

- **A** is the deployment that fails, the same way every time. B and C are healthy. A's provider \
speaks as OpenAI does; with Azure or Anthropic the same happens, but for a few codes of their own.
- All options have their defaults: two retries (`num_retries`), a cooldown of five seconds, of a \
minute after a refused key or an empty account (if no `cooldown_time` is written), at \
most 60 seconds obeyed of a `Retry-After` (`max_retry_after`). Only `connect_timeout` and the \
timeouts of the deployments that go silent are shorter than usual.
- **The client gets** the status and the `code` of the error. A stream whose provider fails before \
its first content fails as any other request does, with a status; after that, it ends in an error \
frame and without `[DONE]`.
- **Attempts** are in order. Before A is tried again, the gateway waits half a second, then a \
whole one, or as long as the provider asked for; before another deployment is tried it does not wait. It \
never waits after the last attempt.
- **Then rests** names what is in cooldown when the reply is out. The next request does not try it.

Where a deployment is alone, it rests only if its provider named a time: requests are then \
answered at once with a 429 and the seconds left. Resting it for other reasons would only hide the \
provider's own words, since nobody could take its place.

Two choices here differ from what many clients do for themselves. After a 500 or 502 the same deployment \
is tried as often as after other faults: `num_retries` bounds it, as LiteLLM's users expect, and where \
there is another deployment the request goes there first. After a 404 another deployment is tried and \
the first one rests: in a group of several a model that is missing at one of them is a mistake in its \
configuration, not in the request.

The status is that of the class of the failure; the provider's own is kept where it means the same \
(403, 402, 408, 410, 422, 500 and their like). So a throttled request at Bedrock is a 429 although Bedrock \
says 400, and a prompt that is too long is a 400 whether the provider says 400, 413 or 422.
";

/// The whole page.
pub(super) fn render() -> String {
    let mut page = String::from(INTRODUCTION);
    for (around, heading) in [
        (Around::Alone, "A is the only deployment"),
        (Around::Second, "B is in the same group, with a higher `order`"),
        (Around::Fallback, "C is in a fallback group"),
    ] {
        write!(page, "\n## {heading}\n\n{HEADER}").unwrap();
        for failing in MATRIX {
            for row in failing.nature.rows().iter().filter(|row| row.0 == around) {
                let found = row.expected();
                let request = match row.1 {
                    Request::Both => "either",
                    Request::Json => "JSON",
                    Request::Stream => "stream",
                };
                let told = client_gets(&found.client_gets);
                let rests = if found.rests.is_empty() { "-" } else { &found.rests };
                let cells = [failing.name, request, &told, &found.attempts, rests].join(" | ");
                writeln!(page, "| {cells} |").unwrap();
            }
        }
    }
    page
}

const HEADER: &str = "\
| A's failure | Asked for | The client gets | Attempts | Then rests |
|---|---|---|---|---|
";

/// The table's words as a sentence, with the code as code.
fn client_gets(told: &str) -> String {
    let (status, rest) = told.split_once(' ').unwrap_or((told, ""));
    let (code, wait) = rest.split_once(", wait ").unwrap_or((rest, ""));
    let mut sentence = match code.split_once(" then ") {
        Some((_, code)) => format!("{status}, the text so far, an error frame `{code}`"),
        None if status == "200" => "200, the answer".to_owned(),
        None => format!("{status} `{code}`"),
    };
    if !wait.is_empty() {
        write!(sentence, ", `Retry-After` {wait}").unwrap();
    }
    sentence
}
