//! What is expected of the gateway, cell by cell.

use std::time::{Duration, SystemTime};

use self::Nature::{Busy, BusyUntil, InTheMiddle, MayPass, OfTheDeployment, OfTheModel, Rows};
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
    pub(super) nature: Nature,
}

/// What kind of failure it is: most come to the same but for what the client reads when nobody else
/// answers.
pub(super) enum Nature {
    /// It may pass at once: tried again wherever that is possible. A rests after three in a row.
    MayPass(&'static str),
    /// It will not pass at once: A rests where others can answer.
    Busy(&'static str),
    /// A rate limit with a time at which it ends: A rests also where it is alone.
    BusyUntil(&'static str),
    /// Trying A again is of no use: another deployment is tried, and A rests where there is one.
    OfTheDeployment(&'static str),
    /// The model cannot serve the request: only another group is tried, and nobody rests.
    OfTheModel(&'static str),
    /// It happens after the first content: what a JSON client gets where A is alone, and what is left
    /// to a stream, which cannot be tried again.
    InTheMiddle(&'static str, &'static str),
    /// Like no other.
    Rows(&'static [Row]),
}

impl Nature {
    /// What is expected in every surrounding.
    pub(super) fn rows(&self) -> Vec<Row> {
        const HELLO: &str = "200 hello";
        match *self {
            Self::MayPass(told) => vec![
                Row(Alone, Both, told, "A A A", ""),
                Row(Second, Both, HELLO, "A B", ""),
                Row(Fallback, Both, HELLO, "A A A C", "A"),
            ],
            Self::Busy(told) => vec![
                Row(Alone, Both, told, "A A A", ""),
                Row(Second, Both, HELLO, "A B", "A"),
                Row(Fallback, Both, HELLO, "A C", "A"),
            ],
            Self::BusyUntil(told) => vec![
                Row(Alone, Both, told, "A A A", "A"),
                Row(Second, Both, HELLO, "A B", "A"),
                Row(Fallback, Both, HELLO, "A C", "A"),
            ],
            Self::OfTheDeployment(told) => vec![
                Row(Alone, Both, told, "A", ""),
                Row(Second, Both, HELLO, "A B", "A"),
                Row(Fallback, Both, HELLO, "A C", "A"),
            ],
            Self::OfTheModel(told) => vec![
                Row(Alone, Both, told, "A", ""),
                Row(Second, Both, told, "A", ""),
                Row(Fallback, Both, HELLO, "A C", ""),
            ],
            Self::InTheMiddle(told, streamed) => vec![
                Row(Alone, Json, told, "A A A", ""),
                Row(Alone, Stream, streamed, "A", ""),
                Row(Second, Json, HELLO, "A B", ""),
                Row(Second, Stream, streamed, "A", ""),
                Row(Fallback, Json, HELLO, "A A A C", "A"),
                Row(Fallback, Stream, streamed, "A", ""),
            ],
            Self::Rows(rows) => rows.to_vec(),
        }
    }
}

/// What stands around A; what is asked for; what the client gets; attempts; what rests then.
#[derive(Clone, Copy)]
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
    nature: Nature,
) -> Failing {
    Failing { name, misbehave, params: "", is_seen: true, nature }
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
        MayPass("502 upstream_connection_error"),
    )
    .unseen(),
    failing(
        "connection not accepted in time",
        |it| it.never_accepts(),
        MayPass("504 upstream_connect_timeout"),
    )
    .unseen(),
    failing(
        "TLS: a certificate nobody vouches for",
        untrusted,
        MayPass("502 upstream_connection_error"),
    )
    .unseen(),
    failing(
        "reset before the head",
        |it| it.replies(reset()),
        MayPass("502 upstream_connection_error"),
    ),
    failing(
        "closed before the head",
        |it| it.replies(close_before_head()),
        MayPass("502 upstream_connection_error"),
    ),
    failing(
        "no head in time",
        |it| it.replies(never_answers()),
        Rows(&[
            Row(Alone, Json, "504 upstream_timeout", "A A A", ""),
            Row(Alone, Stream, "504 upstream_first_byte_timeout", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", "A"),
        ]),
    )
    .with("timeout: 0.5"),
    failing(
        "garbage instead of HTTP",
        |it| it.replies(garbage()),
        MayPass("502 upstream_connection_error"),
    ),
    failing(
        "garbage instead of JSON",
        |it| it.replies(garbage_json()),
        MayPass("502 upstream_error"),
    ),
    failing("408", |it| it.replies(status(408)), MayPass("408 upstream_timeout")),
    failing(
        "409",
        |it| it.replies(status(409)),
        Rows(&[
            Row(Alone, Both, "409 conflict", "A A A", ""),
            Row(Second, Both, "200 hello", "A B", ""),
            Row(Fallback, Both, "200 hello", "A A A C", ""),
        ]),
    ),
    failing("429", |it| it.replies(status(429)), Busy("429 rate_limit_exceeded")),
    failing(
        "429, `Retry-After: 3`",
        |it| it.replies(status(429).retry_after(3)),
        BusyUntil("429 rate_limit_exceeded, wait 3 s"),
    ),
    failing(
        "429, `Retry-After: 2.5`",
        |it| it.replies(status(429).retry_after(2.5)),
        BusyUntil("429 rate_limit_exceeded, wait 3 s"),
    ),
    failing(
        "429, `retry-after-ms: 2500`",
        |it| it.replies(status(429).header("retry-after-ms", "2500")),
        BusyUntil("429 rate_limit_exceeded, wait 3 s"),
    ),
    failing(
        "429, `Retry-After:` a date in an hour",
        |it| it.replies(status(429).retry_after(in_an_hour())),
        Rows(&[
            Row(Alone, Both, "429 rate_limit_exceeded, wait 60 min", "A", "A"),
            Row(Second, Both, "200 hello", "A B", "A"),
            Row(Fallback, Both, "200 hello", "A C", "A"),
        ]),
    ),
    failing(
        "429, out of quota",
        |it| it.replies(insufficient_quota()),
        OfTheDeployment("429 insufficient_quota"),
    ),
    failing("500", |it| it.replies(status(500)), MayPass("500 upstream_error")),
    failing("502", |it| it.replies(status(502)), MayPass("502 upstream_error")),
    failing("503", |it| it.replies(status(503)), MayPass("503 overloaded, wait 1 s")),
    failing(
        "503, `Retry-After: 3`",
        |it| it.replies(status(503).retry_after(3)),
        Busy("503 overloaded, wait 3 s"),
    ),
    failing("504", |it| it.replies(status(504)), MayPass("504 upstream_timeout")),
    failing("529", |it| it.replies(status(529)), MayPass("503 overloaded, wait 1 s")),
    failing(
        "401",
        |it| it.replies(status(401)),
        OfTheDeployment("401 upstream_authentication_error"),
    ),
    failing(
        "403",
        |it| it.replies(status(403)),
        OfTheDeployment("403 upstream_authentication_error"),
    ),
    failing("404", |it| it.replies(status(404)), OfTheDeployment("404 model_not_found")),
    failing(
        "400, prompt too long",
        |it| it.replies(context_window_exceeded()),
        OfTheModel("400 context_length_exceeded"),
    ),
    failing(
        "400, content refused",
        |it| it.replies(content_policy_violation()),
        OfTheModel("400 content_policy_violation"),
    ),
    failing(
        "400, other",
        |it| it.replies(status(400)),
        Rows(&[
            Row(Alone, Both, "400 invalid_request", "A", ""),
            Row(Second, Both, "400 invalid_request", "A", ""),
            Row(Fallback, Both, "400 invalid_request", "A", ""),
        ]),
    ),
    failing(
        "error frame first",
        |it| it.replies(three_words().error_frame_after(Point::Preamble, "server_error", "no")),
        MayPass("502 server_error"),
    ),
    failing(
        "error frame in the middle",
        |it| it.replies(three_words().error_frame_after(2, "server_error", "no")),
        InTheMiddle("502 server_error", "200 one two then server_error"),
    ),
    failing(
        "cut in the middle",
        |it| it.replies(three_words().cut_after(2)),
        InTheMiddle("502 upstream_connection_error", "200 one two then upstream_connection_error"),
    ),
    failing(
        "silent in the middle",
        |it| it.replies(three_words().stall_after(2)),
        InTheMiddle("504 upstream_idle_timeout", "200 one two then upstream_idle_timeout"),
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
