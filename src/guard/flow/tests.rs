//! What leaves, however a stream is cut into pieces.

use std::sync::Arc;

use futures::FutureExt as _;

use super::*;
use crate::guard::{Asked, Check, Filter, Guardrail, Modes, Pick, When, Window, Word};

fn chosen(window: Window) -> Chosen {
    let word = |keyword: &str, blocks| Word { keyword: keyword.into(), blocks, description: None };
    let words = [word("atlas", true), word("rosebud", false)];
    let modes = Modes::default().with(Mode::PostCall);
    let rail = Guardrail {
        name: "words".into(),
        kind: "litellm_content_filter",
        when: When { otherwise: modes, tagged: Vec::new() },
        default_on: true,
        fails_open: false,
        check: Check::Here(Arc::new(Filter::new(&[], &words, "", "[*]").unwrap())),
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
    let chosen = chosen(window);
    let mut flow = Flow::new(&chosen, ClientDialect::OpenAi, false);
    let (mut all, mut findings) = (String::new(), Findings::default());
    for (at, piece) in pieces.iter().enumerate() {
        let ends = at + 1 == pieces.len();
        let mut out = vec![event(piece)];
        if ends {
            out.push(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        let passed = flow.pass(&mut out, ends, &chosen, vault, &mut findings).now_or_never();
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
