//! An object that is read and edited in place is the one that a JSON library reads and edits.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tollgate::wire::json::{Edits, Object};

/// For every text.
pub(crate) fn holds(input: &[u8]) {
    let read = Object::parse(Bytes::copy_from_slice(input));
    let known = serde_json::from_slice::<Map<String, Value>>(input);
    let object = match (read, &known) {
        (Ok(object), _) => object,
        // Deeper objects are refused by both; the depth at which they begin to differs by a few.
        (Err(error), Ok(_)) => panic!("{error}: {}", String::from_utf8_lossy(input)),
        (Err(error), Err(_)) => {
            assert!(error.line >= 1 && error.column >= 1);
            return;
        }
    };
    // Numbers out of the range of a float are valid JSON, and are passed on as they are written.
    let Ok(known) = known else {
        let raw: Result<Box<RawValue>, _> = serde_json::from_slice(input);
        return assert!(raw.is_ok(), "{}", String::from_utf8_lossy(input));
    };
    let mut names: Vec<&str> = object.names().collect();
    names.sort_unstable();
    let mut expected: Vec<&str> = known.keys().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, value) in &known {
        assert_eq!(object.value(name).as_ref(), Some(value), "{name}");
    }

    // The name of the third field, whatever it is, so that the middle of a text is edited too.
    let third = known.keys().nth(2).cloned().unwrap_or_else(|| "new \"name\"".to_owned());
    let mut edits = Edits::new();
    edits.set("model", "an \"other\" model");
    edits.set_raw("added", br#"{"a":[1,2]}"#.as_slice());
    edits.remove("stream");
    edits.set(third.as_str(), &3);
    let edited = object.edit(&edits);
    let mut wanted = known;
    wanted.insert("model".into(), "an \"other\" model".into());
    wanted.insert("added".into(), serde_json::json!({"a": [1, 2]}));
    wanted.remove("stream");
    wanted.insert(third.clone(), 3.into());
    let found: Map<String, Value> = serde_json::from_slice(&edited).expect("an edit is JSON");
    assert_eq!(found, wanted, "{}", String::from_utf8_lossy(input));

    let again = Object::parse(edited.clone()).expect("an edit is an object");
    assert_eq!(again.edit(&edits), edited, "an edit that was made changes nothing");
    assert!(again.changed(&Edits::new()).is_none(), "no name is left twice");
}
