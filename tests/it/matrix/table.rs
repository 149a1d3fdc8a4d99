//! What is expected of the gateway, cell by cell.

use std::time::{Duration, SystemTime};

use super::Around::{self, Alone, Fallback, Second};
use super::Found;
use super::Request::{self, Both, Json, Stream};
use crate::harness::*;

/// A way to fail, and what comes of it.
pub(super) struct Failing {
    pub(super) name: &'static str,
    pub(super) misbehave: fn(UpstreamBuilder) -> UpstreamBuilder,
    /// YAML for the deployment A.
    pub(super) params: &'static str,
    /// The provider gets to see the requests.
    pub(super) is_seen: bool,
    pub(super) rows: &'static [Row],
}

/// What stands around A; what is asked for; what the client gets; attempts; what rests then.
pub(super) struct Row(
    pub(super) Around,
    pub(super) Request,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

impl Row {
    pub(super) fn expected(&self) -> Found {
        let Self(_, _, client_gets, attempts, rests) = self;
        let [client_gets, attempts, rests] =
            [client_gets, attempts, rests].map(ToString::to_string);
        Found { client_gets, attempts, rests }
    }
}

const fn failing(
    name: &'static str,
    misbehave: fn(UpstreamBuilder) -> UpstreamBuilder,
    rows: &'static [Row],
) -> Failing {
    Failing { name, misbehave, params: "", is_seen: true, rows }
}

impl Failing {
    /// Adds YAML under `litellm_params` of A.
    const fn with(mut self, params: &'static str) -> Self {
        self.params = params;
        self
    }

    /// No request reaches the provider.
    const fn unseen(mut self) -> Self {
        self.is_seen = false;
        self
    }
}

pub(super) const MATRIX: &[Failing] = &[
    failing(
        "connection refused",
        |it| it.refuses_connections(),
        &[
            Row(Alone, Both, "502 upstream_connection_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    )
    .unseen(),
    failing(
        "connection not accepted in time",
        |it| it.never_accepts(),
        &[
            Row(Alone, Both, "504 upstream_connect_timeout", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    )
    .unseen(),
    failing(
        "TLS: a certificate nobody vouches for",
        untrusted,
        &[
            Row(Alone, Both, "502 upstream_connection_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    )
    .unseen(),
    failing(
        "reset before the head",
        |it| it.replies(reset()),
        &[
            Row(Alone, Both, "502 upstream_connection_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "closed before the head",
        |it| it.replies(close_before_head()),
        &[
            Row(Alone, Both, "502 upstream_connection_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "no head in time",
        |it| it.replies(never_answers()),
        &[
            Row(Alone, Json, "504 upstream_timeout", "A A A", ""),
            Row(Alone, Stream, "504 upstream_first_byte_timeout", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    )
    .with("timeout: 0.5"),
    failing(
        "garbage instead of HTTP",
        |it| it.replies(garbage()),
        &[
            Row(Alone, Both, "502 upstream_connection_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "garbage instead of JSON",
        |it| it.replies(garbage_json()),
        &[
            Row(Alone, Both, "502 upstream_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "408",
        |it| it.replies(status(408)),
        &[
            Row(Alone, Both, "408 upstream_timeout", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "409",
        |it| it.replies(status(409)),
        &[
            Row(Alone, Both, "409 conflict", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", ""),
        ],
    ),
    failing(
        "429",
        |it| it.replies(status(429)),
        &[
            Row(Alone, Both, "429 rate_limit_exceeded", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "429, `Retry-After: 3`",
        |it| it.replies(status(429).retry_after(3)),
        &[
            Row(Alone, Both, "429 rate_limit_exceeded, wait 3 s", "A A A", "A"),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "429, `Retry-After: 2.5`",
        |it| it.replies(status(429).retry_after(2.5)),
        &[
            Row(Alone, Both, "429 rate_limit_exceeded, wait 3 s", "A A A", "A"),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "429, `retry-after-ms: 2500`",
        |it| it.replies(status(429).header("retry-after-ms", "2500")),
        &[
            Row(Alone, Both, "429 rate_limit_exceeded, wait 3 s", "A A A", "A"),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "429, `Retry-After:` a date in an hour",
        |it| it.replies(status(429).retry_after(in_an_hour())),
        &[
            Row(Alone, Both, "429 rate_limit_exceeded, wait 60 min", "A", "A"),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "429, out of quota",
        |it| it.replies(insufficient_quota()),
        &[
            Row(Alone, Both, "429 insufficient_quota", "A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "500",
        |it| it.replies(status(500)),
        &[
            Row(Alone, Both, "500 upstream_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "502",
        |it| it.replies(status(502)),
        &[
            Row(Alone, Both, "502 upstream_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "503",
        |it| it.replies(status(503)),
        &[
            Row(Alone, Both, "503 overloaded, wait 1 s", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "503, `Retry-After: 3`",
        |it| it.replies(status(503).retry_after(3)),
        &[
            Row(Alone, Both, "503 overloaded, wait 3 s", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "504",
        |it| it.replies(status(504)),
        &[
            Row(Alone, Both, "504 upstream_timeout", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "529",
        |it| it.replies(status(529)),
        &[
            Row(Alone, Both, "503 overloaded, wait 1 s", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "401",
        |it| it.replies(status(401)),
        &[
            Row(Alone, Both, "401 upstream_authentication_error", "A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "403",
        |it| it.replies(status(403)),
        &[
            Row(Alone, Both, "403 upstream_authentication_error", "A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "404",
        |it| it.replies(status(404)),
        &[
            Row(Alone, Both, "404 model_not_found", "A", ""),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ],
    ),
    failing(
        "400, prompt too long",
        |it| it.replies(context_window_exceeded()),
        &[
            Row(Alone, Both, "400 context_length_exceeded", "A", ""),
            Row(Second, Both, "400 context_length_exceeded", "A", ""),
            Row(Fallback, Both, "200 hello", "A C", ""),
        ],
    ),
    failing(
        "400, content refused",
        |it| it.replies(content_policy_violation()),
        &[
            Row(Alone, Both, "400 content_policy_violation", "A", ""),
            Row(Second, Both, "400 content_policy_violation", "A", ""),
            Row(Fallback, Both, "200 hello", "A C", ""),
        ],
    ),
    failing(
        "400, other",
        |it| it.replies(status(400)),
        &[
            Row(Alone, Both, "400 invalid_request", "A", ""),
            Row(Second, Both, "400 invalid_request", "A", ""),
            Row(Fallback, Both, "400 invalid_request", "A", ""),
        ],
    ),
    failing(
        "error frame first",
        |it| it.replies(three_words().error_frame_after(Point::Preamble, "server_error", "no")),
        &[
            Row(Alone, Both, "502 server_error", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ],
    ),
    failing(
        "error frame in the middle",
        |it| it.replies(three_words().error_frame_after(2, "server_error", "no")),
        &[
            Row(Alone, Json, "502 server_error", "A A A", ""),
            Row(Alone, Stream, "200 one two then server_error", "A", ""),
            Row(Second, Json, "200 hello", "A B", ""),
            Row(Second, Stream, "200 one two then server_error", "A", ""),
            Row(Fallback, Json, "200 hello", "A A A C", "A"),
            Row(Fallback, Stream, "200 one two then server_error", "A", ""),
        ],
    ),
    failing(
        "cut in the middle",
        |it| it.replies(three_words().cut_after(2)),
        &[
            Row(Alone, Json, "502 upstream_connection_error", "A A A", ""),
            Row(Alone, Stream, "200 one two then upstream_connection_error", "A", ""),
            Row(Second, Json, "200 hello", "A B", ""),
            Row(Second, Stream, "200 one two then upstream_connection_error", "A", ""),
            Row(Fallback, Json, "200 hello", "A A A C", "A"),
            Row(Fallback, Stream, "200 one two then upstream_connection_error", "A", ""),
        ],
    ),
    failing(
        "silent in the middle",
        |it| it.replies(three_words().stall_after(2)),
        &[
            Row(Alone, Json, "504 upstream_idle_timeout", "A A A", ""),
            Row(Alone, Stream, "200 one two then upstream_idle_timeout", "A", ""),
            Row(Second, Json, "200 hello", "A B", ""),
            Row(Second, Stream, "200 one two then upstream_idle_timeout", "A", ""),
            Row(Fallback, Json, "200 hello", "A A A C", "A"),
            Row(Fallback, Stream, "200 one two then upstream_idle_timeout", "A", ""),
        ],
    )
    .with("stream_timeout: 0.5"),
];

/// A reply in three pieces; two of them come before something goes wrong "in the middle".
fn three_words() -> mock::Reply {
    stream(["one", " two", " three"])
}

/// A provider whose certificate nobody vouches for.
fn untrusted(provider: UpstreamBuilder) -> UpstreamBuilder {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    provider.tls(&issued.cert.pem(), &issued.signing_key.serialize_pem())
}

fn in_an_hour() -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600))
}
