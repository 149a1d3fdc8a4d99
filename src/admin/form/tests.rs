//! What is read of forms, and what is refused.

use serde_json::json;

use super::*;

fn form(value: Value) -> Form {
    Form::of_body(value.to_string().as_bytes()).unwrap()
}

#[test]
fn given_null_and_absent_are_told_apart() {
    let form = form(json!({"max_budget": 1.5, "rpm_limit": null}));
    let (mut budget, mut rpm, mut tpm) = (None, Some(5), Some(7));
    form.dollars("max_budget").unwrap().set(&mut budget);
    form.count("rpm_limit").unwrap().set(&mut rpm);
    form.count("tpm_limit").unwrap().set(&mut tpm);
    assert_eq!((budget, rpm, tpm), (Some(1.5), None, Some(7)));
}

#[test]
fn numbers_are_read_as_loosely_as_litellm_reads_them() {
    for (value, count) in [(json!(10), 10), (json!(10.0), 10), (json!("10"), 10)] {
        assert_eq!(form(json!({"rpm_limit": value})).count("rpm_limit"), Ok(Given::Value(count)));
    }
    for (value, status) in [
        (json!(-1), 400),
        (json!(1.5), 422),
        (json!("ten"), 422),
        (json!([1]), 422),
        (json!(1e300), 400),
        (json!(true), 422),
    ] {
        let fault = form(json!({"rpm_limit": value})).count("rpm_limit").unwrap_err();
        assert_eq!((fault.status, fault.param.as_deref()), (status, Some("rpm_limit")), "{value}");
    }
    for wrong in [json!(-0.01), json!("nan"), json!("inf")] {
        assert!(form(json!({"max_budget": wrong})).dollars("max_budget").is_err(), "{wrong}");
    }
    assert_eq!(form(json!({"max_budget": " "})).dollars("max_budget"), Ok(Given::Null));
    assert_eq!(form(json!({"max_budget": 1e12})).dollars("max_budget"), Ok(Given::Value(1e12)));
    assert!(form(json!({"spend": 1e12})).spent("spend").is_err());
}

#[test]
fn what_would_be_accepted_and_bound_nothing_is_refused() {
    let empty = json!({"guardrails": [], "permissions": {}, "budget_limits": null,
        "auto_rotate": false, "anything": 1});
    assert!(Form::of_body(empty.to_string().as_bytes()).is_ok());
    for (name, value) in [("policies", json!(["pii"])), ("auto_rotate", json!(true))] {
        let fault = Form::of_body(json!({name: value}).to_string().as_bytes()).unwrap_err();
        assert_eq!((fault.status, fault.param.as_deref()), (400, Some(name)));
    }
}

#[test]
fn what_no_database_keeps_is_refused() {
    for wrong in ["a\0b".to_owned(), "a".repeat(501)] {
        let fault = form(json!({"user_id": wrong})).name("user_id").unwrap_err();
        assert_eq!((fault.status, fault.param.as_deref()), (400, Some("user_id")));
    }
    assert!(form(json!({"models": ["a\0"]})).texts("models").is_err());
    assert!(form(json!({"user_id": "ü".repeat(500)})).name("user_id").is_ok());
}

#[test]
fn what_must_be_there_is_asked_for_by_its_name() {
    let form = form(json!({"model": "", "names": [], "search": "a", "user_id": null}));
    assert_eq!(form.filled("model"), Ok(None));
    assert_eq!(form.filled("search"), Ok(Some("a".into())));
    assert_eq!(form.required_texts("names"), Ok(Vec::new()));
    for (fault, name, message) in [
        (form.required("user_id").unwrap_err(), "user_id", "user_id is required"),
        (form.required_texts("keys").unwrap_err(), "keys", "keys is required"),
        (form.filled_texts("names").unwrap_err(), "names", "names is empty"),
    ] {
        assert_eq!((fault.status, fault.param.as_deref()), (422, Some(name)));
        assert_eq!(fault.message, message);
    }
}

#[test]
fn a_body_is_an_object() {
    assert!(Form::of_body(b" ").is_ok());
    assert_eq!(Form::of_body(b"[]").unwrap_err().status, 422);
    assert_eq!(Form::of_body(b"{").unwrap_err().status, 400);
}

#[test]
fn a_query_is_decoded() {
    let form = Form::of_query(Some("page=2&user_id=a%40b+c&key_alias=&return_full_object=true"));
    assert_eq!(form.count("page"), Ok(Given::Value(2)));
    assert_eq!(form.name("user_id"), Ok(Given::Value("a@b c".into())));
    assert_eq!(form.name("key_alias"), Ok(Given::Null));
    assert_eq!(form.flag("return_full_object"), Ok(Given::Value(true)));
}
