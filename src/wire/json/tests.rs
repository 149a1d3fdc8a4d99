use super::*;

fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a valid object")
}

fn refused(text: impl AsRef<[u8]>) -> String {
    match Object::parse(Bytes::copy_from_slice(text.as_ref())) {
        Err(malformed) => malformed.to_string(),
        Ok(object) => panic!("accepted {object:?}"),
    }
}

#[test]
fn fields_are_found_by_name_and_type() {
    let object = object(
        r#" {"model" : "gpt \"4\"", "n":2, "whole": 16.0, "stream":true, "user":null, "a":[1, 2]} "#,
    );

    assert_eq!(object.str("model").as_deref(), Some("gpt \"4\""));
    assert_eq!(object.raw("model"), Some(r#""gpt \"4\"""#));
    assert_eq!(object.u64("n"), Some(2));
    assert_eq!(object.u64("whole"), Some(16));
    assert_eq!(object.u64("model"), None);
    assert_eq!(object.bool("stream"), Some(true));
    assert_eq!(object.bool("n"), None);
    assert_eq!(object.value("a"), Some(serde_json::json!([1, 2])));
    assert!(object.contains("user") && !object.is_set("user") && !object.contains("us"));
    let names = object.iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names, ["model", "n", "whole", "stream", "user", "a"]);
}

#[test]
fn the_last_of_two_fields_wins_however_it_is_spelled() {
    let object = object(r#"{"model":"a","x":1,"mod\u0065l":"b"}"#);

    assert_eq!(object.str("model").as_deref(), Some("b"));
    assert_eq!(object.iter().count(), 2);
    assert_eq!(object.edit(&Edits::new()), r#"{"x":1,"mod\u0065l":"b"}"#);
}

#[test]
fn many_fields_are_compared_by_sorting() {
    let fields = (0..100).map(|n| format!(r#""f{}":{n}"#, n % 60)).collect::<Vec<_>>();
    let object = object(&format!("{{{}}}", fields.join(",")));

    assert_eq!(object.iter().count(), 60);
    assert_eq!(object.u64("f3"), Some(63));
    assert_eq!(object.u64("f59"), Some(59));
}

#[test]
fn no_edit_copies_nothing() {
    let object = object(r#"{"model":"gpt","n":1}"#);
    let mut edits = Edits::new();
    edits.set("model", "gpt");
    edits.remove("absent");

    let same = object.edit(&edits);

    assert_eq!(same.as_ptr(), object.bytes().as_ptr());
}

#[test]
fn an_edit_leaves_the_rest_as_written() {
    let object = object("{ \"a\" : 1.50 ,\n \"model\" : \"x\" ,\"z\": {\"k\" : 1e5} }\n");
    let edit = |change: &dyn Fn(&mut Edits<'_>)| {
        let mut edits = Edits::new();
        change(&mut edits);
        let text = object.edit(&edits);
        assert!(Object::parse(text.clone()).is_ok(), "{text:?}");
        String::from_utf8(text.to_vec()).unwrap()
    };

    assert_eq!(
        edit(&|edits| edits.set("model", "y")),
        "{ \"a\" : 1.50 ,\n \"model\" : \"y\" ,\"z\": {\"k\" : 1e5} }\n"
    );
    assert_eq!(edit(&|edits| edits.remove("a")), "{ \"model\" : \"x\" ,\"z\": {\"k\" : 1e5} }\n");
    assert_eq!(edit(&|edits| edits.remove("z")), "{ \"a\" : 1.50 ,\n \"model\" : \"x\" }\n");
    assert_eq!(
        edit(&|edits| {
            edits.remove("a");
            edits.remove("model");
            edits.remove("z");
        }),
        "{  }\n"
    );
    assert_eq!(
        edit(&|edits| {
            edits.remove("a");
            edits.remove("model");
            edits.remove("z");
            edits.set("new \"name\"", &1);
            edits.set_raw("more", &b"[]"[..]);
        }),
        "{ \"new \\\"name\\\"\":1,\"more\":[] }\n"
    );
    assert_eq!(
        edit(&|edits| edits.set("b", &true)),
        "{ \"a\" : 1.50 ,\n \"model\" : \"x\" ,\"z\": {\"k\" : 1e5},\"b\":true }\n"
    );
}

#[test]
fn an_empty_object_can_be_filled() {
    let mut edits = Edits::new();
    edits.set("a", &1);

    assert_eq!(object("{}").edit(&edits), r#"{"a":1}"#);
    assert_eq!(object(" { } ").edit(&edits), r#" {"a":1 } "#);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert_eq!(refused(""), "the text is empty at line 1 column 1");
    assert_eq!(refused("  \n "), "the text is empty at line 2 column 2");
    assert_eq!(refused("[1]"), "expected an object at line 1 column 1");
    assert_eq!(refused("{\"a\":1,\n \"é\":}"), "expected a value at line 2 column 6");
    assert_eq!(refused("{\"a\":1,}"), "expected a name in quotes at line 1 column 8");
    assert_eq!(refused("{\"a\":1} x"), "something follows the object at line 1 column 9");
    assert_eq!(refused("{\"a\":\"x"), "the text ends inside a string at line 1 column 8");
    assert_eq!(refused("{\"a\":\"x\ny\"}"), "control character in a string at line 1 column 8");
    assert_eq!(refused(b"{\"a\":\"\xff\"}"), "not valid UTF-8 at line 1 column 7");
    assert_eq!(refused(r#"{"\ud800":1}"#), "unpaired surrogate at line 1 column 3");
    assert_eq!(refused(r#"{"a":NaN}"#), "expected a value at line 1 column 6");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    assert!(refused(deep).starts_with("nested too deeply at"));
}

#[test]
fn every_cut_of_an_object_is_refused() {
    let text = br#"{"a":[1,{"b":"c\u00e9"}],"d":null,"e":-1.5e3}"#;
    for end in 0..text.len() {
        refused(&text[..end]);
    }
    assert!(Object::parse(Bytes::from_static(text)).is_ok());
}

#[test]
fn unpaired_surrogates_in_values_are_passed_on_unread() {
    let object = object(r#"{"a":"\ud83d","model":"m"}"#);
    let mut edits = Edits::new();
    edits.set("model", "n");

    assert_eq!(object.edit(&edits), r#"{"a":"\ud83d","model":"n"}"#);
    assert_eq!(object.str("a"), None);
}

#[test]
fn elements_are_rewritten_in_place() {
    let array = Bytes::from_static(br#"[ {"a":1}, 2 ,{"a":3}, "x", {"a":1} ]"#);
    let changed = map_elements(&array, |element| {
        (element.u64("a") == Some(1)).then(|| Bytes::from_static(b"{}"))
    });

    assert_eq!(changed.as_deref(), Some(&br#"[ {}, 2 ,{"a":3}, "x", {} ]"#[..]));
    assert_eq!(map_elements(&array, |_| None), None);
    assert_eq!(map_elements(&Bytes::from_static(b"{}"), |_| None), None);
    assert_eq!(map_elements(&Bytes::from_static(b"[]"), |_| None), None);
}

#[test]
fn a_body_of_thirty_megabytes_is_read_and_edited() {
    let image = "QUJD".repeat(30 * 1024 * 1024 / 4);
    let text =
        format!(r#"{{"model":"a","messages":[{{"role":"user","content":"{image}"}}],"n":1}}"#);
    let object = object(&text);
    let mut edits = Edits::new();
    edits.set("model", "bcd");

    let edited = object.edit(&edits);

    assert_eq!(edited.len(), text.len() + 2);
    assert!(edited.ends_with(br#""}],"n":1}"#));
}
