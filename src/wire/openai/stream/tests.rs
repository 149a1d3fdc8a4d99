use super::*;
use crate::dialect::Quirks;
use crate::wire::sse::MAX_EVENT_BYTES;
use crate::wire::stream::StreamRelay;

const SHOWN: StreamOptions = StreamOptions { show_usage: true, created: 0, quirks: Quirks::NONE };
const HIDDEN: StreamOptions = StreamOptions { show_usage: false, ..SHOWN };

const ROLE: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
const TEXT: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}],"logprobs":1.50}"#;
const FINISH: &str = r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str =
    r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
const ERROR: &str =
    r#"{"error":{"message":"m","type":"overloaded_error","param":null,"code":529}}"#;

struct Seen {
    text: String,
    slices: usize,
    last: Progress,
    meaningful: bool,
    ending: Ending,
    relay: StreamRelay,
}

fn push_all<'a>(options: StreamOptions, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut relay = StreamRelay::openai(options);
    let mut out = Vec::new();
    let mut last = Progress::default();
    let mut meaningful = false;
    for piece in pieces {
        let progress = relay.push(Bytes::copy_from_slice(piece), &mut out);
        meaningful |= progress.meaningful;
        last = progress;
    }
    let ending = relay.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    Seen { text, slices: out.len(), last, meaningful, ending, relay }
}

fn events(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

fn relay(options: StreamOptions, stream: &str) -> Seen {
    push_all(options, [stream.as_bytes()])
}

#[test]
fn a_read_of_many_events_leaves_as_one_slice_of_itself() {
    let stream = events(&[ROLE, TEXT, TEXT, FINISH, USAGE, "[DONE]"]);
    let chunk = Bytes::from(stream);
    let mut relay = StreamRelay::openai(SHOWN);
    let mut out = Vec::new();

    let progress = relay.push(chunk.clone(), &mut out);

    assert_eq!(out.len(), 1);
    assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
    assert_eq!(progress, Progress { meaningful: true, done: true, failure: None });
    assert_eq!(relay.usage().map(|usage| usage.total_tokens()), Some(7));
    assert_eq!(relay.text_bytes(), 6);
    assert_eq!(relay.finish(&mut out), Ending::Complete);
    assert_eq!(out.len(), 1);
}

#[test]
fn usage_that_was_not_asked_for_is_counted_and_hidden() {
    let seen = relay(HIDDEN, &events(&[TEXT, FINISH, USAGE, "[DONE]"]));

    assert_eq!(seen.text, events(&[TEXT, FINISH, "[DONE]"]));
    assert_eq!(seen.slices, 2);
    assert_eq!(seen.relay.usage().map(|usage| usage.output_tokens), Some(4));
}

#[test]
fn what_openai_adds_for_usage_is_seen_only_by_those_who_asked() {
    let padded = |text: &str| {
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}],"usage":null,"obfuscation":"{text}x"}}"#
        )
    };
    let [one, two] = ["a", "b \\\"usage\\\":null"].map(padded);
    let stream = events(&[ROLE, &one, &two, FINISH, USAGE, "[DONE]"]);
    let without = stream.replace(",\"usage\":null", "");

    assert_eq!(relay(SHOWN, &stream).text, stream);
    assert_eq!(relay(HIDDEN, &stream).text, without.replace(&events(&[USAGE]), ""));
    // A provider that was not asked says it on its own account.
    let quirks = Quirks { no_stream_options: true, ..Quirks::default() };
    let unasked = relay(StreamOptions { quirks, ..HIDDEN }, &stream);
    assert_eq!(unasked.text, stream.replace(&events(&[USAGE]), ""));
}

#[test]
fn a_role_is_forwarded_but_means_nothing_yet() {
    let seen = relay(SHOWN, &format!(": OPENROUTER PROCESSING\n\n{}", events(&[ROLE])));

    assert!(!seen.meaningful);
    assert_eq!(seen.text, format!(": OPENROUTER PROCESSING\n\n{}", events(&[ROLE])));
    assert_eq!(seen.ending, Ending::Cut);
}

#[test]
fn an_error_first_is_a_failure_and_not_output() {
    let seen = relay(SHOWN, &events(&[ERROR, TEXT]));

    let failure = seen.last.failure.expect("a failure");
    assert_eq!(failure.status, Some(529));
    assert_eq!(failure.code, None, "a status is no code");
    assert!(!seen.meaningful && seen.text.is_empty());
    assert_eq!(seen.ending, Ending::Cut);
}

#[test]
fn an_error_after_content_leaves_the_content() {
    let seen = relay(SHOWN, &events(&[ROLE, TEXT, ERROR, TEXT, "[DONE]"]));

    assert!(seen.meaningful && seen.last.failure.is_some());
    assert_eq!(seen.text, events(&[ROLE, TEXT]));
    assert_eq!(seen.ending, Ending::Cut);
}

#[test]
fn an_event_that_is_named_error_is_one_whatever_is_in_it() {
    let seen = relay(SHOWN, "event: error\ndata: {\"message\":\"boom\"}\n\n");
    assert_eq!(seen.last.failure.map(|failure| failure.message).as_deref(), Some("boom"));
    assert!(seen.text.is_empty());
}

#[test]
fn every_shape_of_an_error_in_a_stream_is_seen() {
    for (error, message) in [
        (r#"{"code":"c","error":"text"}"#, "text"),
        (r#"{"object":"error","message":"top","code":400}"#, "top"),
        (
            r#"{"id":"c","choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"or"}}"#,
            "or",
        ),
        (
            r#"{"id":"c","choices":[{"delta":{},"error":{"code":502,"message":"in choice"}}]}"#,
            "in choice",
        ),
        (r#"{"id":"c","choices":[],"x_groq":{"error":"stopped"}}"#, "stopped"),
    ] {
        let seen = relay(SHOWN, &events(&[error]));
        assert_eq!(seen.last.failure.map(|failure| failure.message).as_deref(), Some(message));
        assert_eq!(seen.text, "");
    }
}

#[test]
fn garbage_is_a_failure() {
    for garbage in ["<html>", "{\"id\":", "[]", "oops"] {
        let seen = relay(SHOWN, &events(&[garbage]));
        assert_eq!(seen.last.failure.map(|failure| failure.class), Some(FailureClass::Server));
        assert_eq!(seen.text, "");
    }
    let seen = relay(SHOWN, "<html>\n<body>not a stream</body>\n");
    assert_eq!((seen.ending, seen.meaningful), (Ending::Cut, false));
}

#[test]
fn a_stream_without_done_is_complete_once_a_choice_has_ended() {
    let seen = relay(SHOWN, &events(&[TEXT, FINISH]));
    assert_eq!(seen.ending, Ending::Complete);
    assert_eq!(seen.text, events(&[TEXT, FINISH, "[DONE]"]));

    let seen = relay(SHOWN, &events(&[TEXT]));
    assert_eq!(seen.ending, Ending::Cut);
    assert_eq!(seen.text, events(&[TEXT]));
}

#[test]
fn done_without_an_end_of_the_choice_is_complete() {
    let seen = relay(SHOWN, &events(&[TEXT, "[DONE]"]));
    assert_eq!((seen.ending, seen.last.done), (Ending::Complete, true));
    assert_eq!(seen.text, events(&[TEXT, "[DONE]"]));
}

#[test]
fn what_follows_done_is_ignored() {
    let seen = relay(SHOWN, &events(&[TEXT, "[DONE]", TEXT, "garbage"]));
    assert_eq!(seen.text, events(&[TEXT, "[DONE]"]));
    assert_eq!(seen.last.failure, None);
}

#[test]
fn a_missing_last_blank_line_is_forgiven() {
    for end in ["", "\n", "\r\n"] {
        let stream = format!("{}data: [DONE]{end}", events(&[TEXT]));
        let seen = relay(SHOWN, &stream);
        assert_eq!(seen.text, events(&[TEXT, "[DONE]"]), "{end:?}");
        assert_eq!(seen.ending, Ending::Complete);
    }
    let seen = relay(SHOWN, &format!("{}data: {FINISH}", events(&[TEXT])));
    assert_eq!(seen.text, events(&[TEXT, FINISH, "[DONE]"]));
    let cut = FINISH.strip_suffix('}').unwrap();
    let seen = relay(SHOWN, &format!("{}data: {cut}", events(&[TEXT])));
    assert_eq!((seen.text, seen.ending), (events(&[TEXT]), Ending::Cut));
}

#[test]
fn every_pair_of_cuts_gives_the_same_events() {
    let stream = format!(
        "\u{feff}: hi\r\n\r\ndata:{}\r\n\r\nevent: x\rdata: {}\r\r{}",
        r#"{"choices":[{"delta":{"content":"é"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        events(&[r#"{"choices":[],"usage":{"total_tokens":1}}"#, "[DONE]"])
    );
    let stream = stream.as_bytes();
    // The LF of a CRLF that is cut belongs to the next event and goes with it if that is rewritten;
    // the CR alone ends the line as well.
    let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    let whole = push_all(HIDDEN, [stream]);
    assert_eq!(whole.ending, Ending::Complete);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            let cut = push_all(HIDDEN, pieces);
            assert_eq!(lines(&cut.text), lines(&whole.text), "cut at {first} and {second}");
            assert_eq!(cut.relay.usage(), whole.relay.usage());
        }
    }
}

#[test]
fn the_names_of_events_are_left_out() {
    let seen = relay(SHOWN, &format!("event: message\ndata: {TEXT}\n\n"));
    assert_eq!(seen.text, events(&[TEXT]));
}

#[test]
fn data_of_many_lines_stays_one_event() {
    let lines = TEXT.replace(",\"choices\"", ",\ndata: \"choices\"");
    let seen = relay(SHOWN, &format!("data: {lines}\n\n"));
    assert_eq!(seen.text, format!("data: {lines}\n\n"));
    assert!(seen.meaningful);
    assert_eq!(event(b"{\"a\":\n1}"), "data: {\"a\": 1}\n\n");
}

#[test]
fn text_completions_are_relayed() {
    let text = r#"{"id":"c","object":"text_completion","choices":[{"index":0,"text":"Hi","finish_reason":null}]}"#;
    let end = r#"{"id":"c","choices":[{"index":0,"text":"","finish_reason":"length"}]}"#;
    let seen = relay(HIDDEN, &events(&[text, end, USAGE]));
    assert!(seen.meaningful);
    assert_eq!(seen.relay.text_bytes(), 2);
    assert_eq!(seen.text, events(&[text, end, "[DONE]"]));
}

#[test]
fn an_endless_event_fails_the_stream() {
    let mut relay = StreamRelay::openai(SHOWN);
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let mut out = Vec::new();
    let failure =
        (0..=MAX_EVENT_BYTES >> 20).find_map(|_| relay.push(piece.clone(), &mut out).failure);
    assert_eq!(failure.map(|failure| failure.class), Some(FailureClass::Server));
    assert!(out.is_empty());
}

#[test]
fn the_usage_of_every_chunk_is_replaced_by_the_last() {
    let with = |total: u64| {
        TEXT.replace(
            ",\"logprobs\"",
            &format!(",\"usage\":{{\"total_tokens\":{total}}},\"logprobs\""),
        )
    };
    let seen = relay(HIDDEN, &events(&[&with(1), &with(2), FINISH, "[DONE]"]));
    assert_eq!(seen.relay.usage().map(|usage| usage.total_tokens()), Some(2));
    assert_eq!(seen.text, events(&[&with(1), &with(2), FINISH, "[DONE]"]));
}
