use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::dialect::Endpoint;
use crate::wire::RequestOptions;

const BODY: &str = "ignored\r\n--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n\
    --xyz \r\ncontent-disposition: form-data; filename=\"a;\\\"b\\\".wav\"; name=file\r\nContent-Type: audio/wav\r\n\r\n\
    RI\r\n--xyzz\r\nFF\0\u{1}\r\n\
    --xyz\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n\
    --xyz\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n\
    --xyz\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nsegment\r\n\
    --xyz\r\nContent-Disposition: form-data; name=\"num_retries\"\r\n\r\n3\r\n\
    --xyz\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n3\r\n--xyz--\r\nafter";

fn form() -> Form {
    Form::parse("xyz", Bytes::from_static(BODY.as_bytes())).unwrap()
}

fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions::plain(Endpoint::Transcriptions, model)
}

#[test]
fn the_boundary_is_found_in_the_content_type() {
    for (content_type, expected) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b\"", Some("a b")),
        ("multipart/form-data; boundary=abc; charset=utf-8", Some("abc")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
    ] {
        assert_eq!(boundary(content_type).as_deref(), expected, "{content_type}");
    }
    assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
}

#[test]
fn fields_are_read_and_files_are_not() {
    let fields: Value = serde_json::from_slice(form().fields().bytes()).unwrap();
    let expected = json!({
        "model": "whisper", "stream": true, "timestamp_granularities": ["word", "segment"],
        "num_retries": 3, "prompt": "3",
    });
    assert_eq!(fields, expected);
    assert!(form().has_file("file") && !form().has_file("model"));
}

fn part(head: &str) -> Result<Form, NoForm> {
    let body = format!("--x\r\n{head}\r\n\r\nwords\r\n--x--");
    Form::parse("x", body.into())
}

#[test]
fn a_part_has_one_name() {
    let form = "Content-Disposition: form-data";
    assert!(part(&format!("{form}; name=prompt")).is_ok());
    for head in [
        format!("{form}; name=user; name=prompt"),
        format!("{form}; name=user; NAME*=utf-8''prompt"),
        format!("{form}; name*=utf-8''prompt; x=y"),
        format!("{form}; name=user\r\n{form}; name=prompt"),
    ] {
        let read = part(&head).map(|form| form.fields());
        assert!(matches!(read, Err(NoForm::NoName)), "{head}: {read:?}");
    }
}

#[test]
fn what_is_written_twice_is_read_twice() {
    let part = |text: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=prompt\r\n\r\n{text}\r\n")
    };
    let form = Form::parse("x", (part("a") + &part("b") + "--x--").into()).unwrap();
    let fields = form.fields();
    assert_eq!(fields.bytes(), r#"{"prompt":"a","prompt":"b"}"#);
    assert_eq!(fields.str("prompt").as_deref(), Some("b"));
}

#[test]
fn what_stays_is_the_same_memory() {
    let form = form();
    let pieces = form.write(&options("gpt-4o-transcribe"));
    let whole = pieces.concat();
    let again = Form::parse("xyz", whole.into()).unwrap();
    let fields: Value = serde_json::from_slice(again.fields().bytes()).unwrap();
    let expected = json!({
        "model": "gpt-4o-transcribe", "stream": true,
        "timestamp_granularities": ["word", "segment"], "prompt": "3",
    });
    assert_eq!(fields, expected);
    let (from, to) = (form.bytes.as_ptr().addr(), form.bytes.as_ptr().addr() + form.bytes.len());
    let shared = pieces.iter().filter(|piece| (from..to).contains(&piece.as_ptr().addr()));
    let shared: Vec<_> = shared.collect();
    assert_eq!(shared.len(), 2, "from the file to the retries, and the prompt");
    assert!(memmem::find(shared[0], b"RI\r\n--xyzz\r\nFF\0\x01\r\n--xyz").is_some());
}

#[test]
fn parameters_of_the_deployment_and_of_a_fallback_come_as_fields() {
    let raw = |name: &str, value: Value| (Box::from(name), to_raw_value(&value).unwrap());
    let defaults = [
        raw("language", json!("de")),
        raw("prompt", json!("mine")),
        raw("extra_body", json!({"a": 1})),
    ];
    let overrides = [raw("stream", json!(false)), raw("include", json!(["logprobs", "x"]))];
    let drop = [Box::from("timestamp_granularities")];
    let options = RequestOptions {
        model: None,
        defaults: &defaults,
        overrides: &overrides,
        drop: &drop,
        allowed: &[],
        ..options("")
    };
    let written = Form::parse("xyz", form().write(&options).concat().into()).unwrap();
    let fields: Value = serde_json::from_slice(written.fields().bytes()).unwrap();
    let expected = json!({
        "language": "de", "prompt": "3", "a": "1", "stream": false, "include": ["logprobs", "x"],
    });
    assert_eq!(fields, expected);
}

#[test]
fn what_is_no_form_is_refused() {
    let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
    for (body, why) in [
        ("", NoForm::NoDelimiter),
        ("{\"model\":\"m\"}", NoForm::NoDelimiter),
        (part, NoForm::Cut),
        ("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n--x--", NoForm::NoHead),
        ("--x\r\nContent-Type: a/b\r\n\r\nb\r\n--x--", NoForm::NoName),
        ("--x\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nb\r\n--x--", NoForm::NoName),
        ("--x\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nb\r\n--x--", NoForm::NoName),
        ("--x\r\n--x--", NoForm::NoHead),
    ] {
        let refused = Form::parse("x", Bytes::from_static(body.as_bytes()));
        assert_eq!(refused.map(|_| ()).unwrap_err(), why, "{body:?}");
    }
    let many = format!("{}--x--", part.repeat(PARTS_MAX + 1));
    assert_eq!(Form::parse("x", many.into()).unwrap_err(), NoForm::TooManyParts);
    let bytes = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\r\n--x--";
    assert_eq!(Form::parse("x", Bytes::from_static(bytes)).unwrap_err(), NoForm::NotText);
    assert!(Form::parse("x", Bytes::from_static(b"--x--\r\n")).unwrap().parts.is_empty());
}

#[test]
fn a_form_cut_anywhere_is_no_form_and_no_panic() {
    let end = BODY.find("--xyz--").unwrap() + "--xyz--".len();
    for cut in 0..end {
        assert!(
            Form::parse("xyz", Bytes::copy_from_slice(&BODY.as_bytes()[..cut])).is_err(),
            "{cut}"
        );
    }
}

#[test]
fn a_file_can_be_replaced() {
    let changed = form().with_file("file", |content| {
        assert_eq!(content, &b"RI\r\n--xyzz\r\nFF\0\x01"[..]);
        Some(Bytes::from_static(b"new"))
    });
    assert_eq!(changed.parts.len(), form().parts.len());
    let same = changed.with_file("file", |content| {
        assert_eq!(content, &b"new"[..]);
        None
    });
    assert_eq!(same.bytes, changed.bytes);
}
