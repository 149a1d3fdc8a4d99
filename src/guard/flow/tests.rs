//! What leaves, however a stream is cut into pieces.

use std::sync::Arc;

use futures::FutureExt as _;

use super::*;
use crate::guard::{Asked, Check, Filter, Guardrail, Modes, Pick, When, Window, Word};

fn chosen(window: Window) -> Chosen {
    let word = |keyword: &str, blocks| Word { keyword: keyword.into(), blocks, description: None };
    let words = [word("atlas", true), word("rosebud", false)];
    chosen_with(Filter::new(&[], &words, "", "[*]").unwrap(), window)
}

fn chosen_with(filter: Filter, window: Window) -> Chosen {
    let modes = Modes::default().with(Mode::PostCall);
    let rail = Guardrail {
        name: "words".into(),
        kind: "litellm_content_filter",
        when: When { otherwise: modes, tagged: Vec::new() },
        default_on: true,
        fails_open: false,
        check: Check::Here(Arc::new(filter)),
        window,
        info: serde_json::Value::Null,
    };
    let pick = Pick { rail: Arc::new(rail), modes, extra: None };
    Chosen { picks: vec![pick], asked: Arc::<Asked>::default() }
}

fn chunk(text: &str) -> Bytes {
    let data = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {data}\n\n").into()
}

/// A piece of the arguments of a call.
fn argument(text: &str) -> Bytes {
    let call = serde_json::json!({"index": 0, "function": {"arguments": text}});
    let delta = serde_json::json!({"tool_calls": [call]});
    let data = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
    format!("data: {data}\n\n").into()
}

/// What comes out of pieces, one by one; `None`: it was refused, after this much.
fn flows(pieces: &[&str], window: Window, vault: &Vault) -> (String, bool) {
    flows_as(chunk, pieces, window, vault)
}

fn flows_as(
    event: fn(&str) -> Bytes,
    pieces: &[&str],
    window: Window,
    vault: &Vault,
) -> (String, bool) {
    flows_through(&chosen(window), event, pieces, vault)
}

fn flows_through(
    chosen: &Chosen,
    event: fn(&str) -> Bytes,
    pieces: &[&str],
    vault: &Vault,
) -> (String, bool) {
    let mut flow = Flow::new(chosen, ClientDialect::OpenAi, false);
    let (mut all, mut findings) = (String::new(), Findings::default());
    for (at, piece) in pieces.iter().enumerate() {
        let ends = at + 1 == pieces.len();
        let mut out = vec![event(piece)];
        if ends {
            out.push(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        let passed = flow.pass(&mut out, ends, chosen, vault, &mut findings).now_or_never();
        if passed.unwrap().is_err() {
            return (all, false);
        }
        for event in out {
            let text = of_event(event.strip_prefix(b"data: ").unwrap()).list;
            text.iter().for_each(|text| all.push_str(&text.value));
        }
    }
    (all, true)
}

#[test]
fn wherever_a_stream_is_cut_into_pieces_the_same_leaves() {
    let said = "the rose is a rosebud, ROSEBUD! and café <EMAIL_ADDRESS_1> <EMAIL_ <b> end";
    let told = "the rose is a [*], [*]! and café a@b.example <EMAIL_ <b> end";
    let mut vault = Vault::default();
    vault.hide("EMAIL_ADDRESS", "a@b.example");
    for window in [Window { bytes: 1, overlap: 10 }, Window::HERE, Window::WHOLE] {
        for size in 1..said.len() {
            let mut pieces = vec![""];
            let mut rest = said;
            while !rest.is_empty() {
                let cut = (size..=rest.len()).find(|at| rest.is_char_boundary(*at));
                let (piece, behind) = rest.split_at(cut.unwrap_or(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            assert_eq!(flows(&pieces, window, &vault), (told.to_owned(), true), "{size}");
        }
    }
}

#[test]
fn words_are_seen_however_json_spells_them_and_wherever_it_is_cut() {
    let mut vault = Vault::default();
    vault.hide("EMAIL_ADDRESS", "\"a\"@b.example");
    let said =
        r#"{"a":"line\nrosebud, r\u006fse\u0062ud","b":"\u003cEMAIL_ADDRESS_1> \ud83d\ude00é\\"}"#;
    let told = r#"{"a":"line\n[*], [*]","b":"\"a\"@b.example \ud83d\ude00é\\"}"#;
    let blocked = r#"{"a":"no more words than these, \u0061tl\u0061s"}"#;
    for window in [Window { bytes: 1, overlap: 20 }, Window::HERE, Window::WHOLE] {
        for size in 1..said.len() {
            let pieces = |said: &'static str| -> Vec<&'static str> {
                let mut cuts = vec![0];
                while let Some(last) = cuts.last().filter(|last| **last < said.len()) {
                    let next = (last + size..said.len()).find(|at| said.is_char_boundary(*at));
                    cuts.push(next.unwrap_or(said.len()));
                }
                cuts.windows(2).map(|cut| said.get(cut[0]..cut[1]).unwrap()).collect()
            };
            let out = flows_as(argument, &pieces(said), window, &vault);
            assert_eq!(out, (told.to_owned(), true), "{size}");
            let (out, is_whole) = flows_as(argument, &pieces(blocked), window, &vault);
            assert!(!is_whole && !out.contains(r"\u0061"), "{size}: {out}");
        }
    }
}

#[test]
fn what_stands_for_a_number_is_a_string() {
    let word = |keyword: &str| Word { keyword: keyword.into(), blocks: false, description: None };
    let filter = Filter::new(&[], &[word("4111")], "", "[*]").unwrap();
    let chosen = chosen_with(filter, Window { bytes: 1, overlap: 20 });
    let said = r#"{"a\\":"4111 \"4111","b":[4111,41112]}"#;
    let told = r#"{"a\\":"[*] \"[*]","b":["[*]",41112]}"#;
    for size in 1..said.len() {
        let pieces: Vec<_> = said.as_bytes().chunks(size).collect();
        let pieces: Vec<_> =
            pieces.into_iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
        let out = flows_through(&chosen, argument, &pieces, &Vault::default());
        assert_eq!(out, (told.to_owned(), true), "{size}");
    }
}

/// A chunk with a thought, and one with a piece of the answer.
fn spoken(name: &str, text: &str) -> Bytes {
    let data = serde_json::json!({"choices": [{"index": 0, "delta": {name: text}}]});
    format!("data: {data}\n\n").into()
}

/// What is out after each event.
fn out_after(events: &[Bytes], window: Window) -> Vec<Result<usize, Refusal>> {
    let chosen = chosen(window);
    let mut flow = Flow::new(&chosen, ClientDialect::OpenAi, false);
    let (vault, mut findings, mut count) = (Vault::default(), Findings::default(), 0);
    let mut counts = Vec::new();
    for event in events {
        let mut out = vec![event.clone()];
        let passed = flow.pass(&mut out, false, &chosen, &vault, &mut findings).now_or_never();
        count += out.len();
        counts.push(passed.unwrap().map(|()| count));
    }
    counts
}

#[test]
fn an_answer_does_not_wait_for_more_of_the_thoughts_before_it() {
    let mut events: Vec<_> = (0..9).map(|_| spoken("reasoning_content", "hm, hm. ")).collect();
    events.extend((0..80).map(|_| spoken("content", "and so on, and so on. ")));
    let counts = out_after(&events, Window::HERE);
    assert!(matches!(counts[30], Ok(0..9)), "they may go on: {:?}", counts[30]);
    assert!(matches!(counts.last(), Some(Ok(60..))), "{:?}", counts.last());
    let counts = out_after(&events, Window::WHOLE);
    assert_eq!(counts.last(), Some(&Ok(0)), "what is looked at once is held");
}

#[test]
fn thoughts_that_go_on_after_a_rest_are_looked_at_with_what_they_began_with() {
    let mut events = vec![spoken("reasoning_content", "at")];
    events.extend((0..80).map(|_| spoken("content", "and so on, and so on. ")));
    events.push(spoken("reasoning_content", "las"));
    events.extend((0..40).map(|_| spoken("content", "and so on, and so on. ")));
    let counts = out_after(&events, Window::HERE);
    assert!(matches!(counts[80], Ok(60..)) && counts.iter().any(Result::is_err), "{counts:?}");
}

#[test]
fn whatever_a_stream_tells_in_pieces_is_put_together() {
    let called: fn(&str) -> Bytes = |text| {
        let delta = serde_json::json!({"tool_calls": [{"index": 0, "custom": {"input": text}}]});
        let data = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
        format!("data: {data}\n\n").into()
    };
    let unknown: fn(&str) -> Bytes = |text| spoken("of_tomorrow", text);
    for event in [called, unknown] {
        let pieces: Vec<_> = "say atlas or not".split("").collect();
        let (told, is_whole) = flows_as(event, &pieces, Window::HERE, &Vault::default());
        assert!(!is_whole && told.is_empty(), "{told}");
    }
}

#[test]
fn an_event_that_cannot_be_read_does_not_go_by_unseen() {
    let deep = |text: &str| {
        let deep = [&*"[".repeat(200), "0", &*"]".repeat(200)].concat();
        Bytes::from(format!("data: {{\"x\":{deep},\"choices\":[{{\"text\":\"{text}\"}}]}}\n\n"))
    };
    let out = flows_as(deep, &["atlas"], Window::HERE, &Vault::default());
    assert_eq!(out, (String::new(), false));
}

#[test]
fn nothing_of_what_blocks_leaves_in_any_piece() {
    let said: String = (0..40).map(|at| format!("w{at} ")).collect::<String>() + "atlas and more";
    for size in 1..20 {
        let pieces: Vec<_> = said.as_bytes().chunks(size).collect();
        let pieces: Vec<_> =
            pieces.into_iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
        let (told, is_whole) = flows(&pieces, Window { bytes: 8, overlap: 16 }, &Vault::default());
        assert!(!is_whole && !told.contains("at") && said.starts_with(&told), "{size}: {told}");
        assert!(told.contains("w20 "), "{size}: what was looked at is out: {told}");
    }
}
