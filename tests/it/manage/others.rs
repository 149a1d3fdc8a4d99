//! End users, budgets and tags.

use serde_json::{Value, json};

use super::{MASTER, Office, blamed};

#[test]
fn end_users_are_managed_by_either_name() {
    Office::on_each(|office| {
        for word in ["customer", "end_user"] {
            let path = |what: &str| format!("/{word}/{what}");
            let id = format!("{word}-1");
            let body = json!({"user_id": id, "alias": "first", "max_budget": 5,
                "budget_duration": "30d", "default_model": "gpt"});
            let made = office.make(&path("new"), &body);
            assert_eq!((&made["user_id"], &made["blocked"]), (&json!(id), &json!(false)));
            assert_eq!(made["litellm_budget_table"]["max_budget"], 5.0);
            assert_eq!(made["spend"], 0.0);
            let same = office.post(MASTER, &path("new"), &json!({"user_id": id}));
            assert_eq!(blamed(&same), (400, "user_id".to_owned()));
            let unnamed = office.post(MASTER, &path("new"), &json!({}));
            assert_eq!(blamed(&unnamed), (422, "user_id".to_owned()));
            let model = json!({"user_id": "x", "default_model": "unknown"});
            let model = office.post(MASTER, &path("new"), &model);
            assert_eq!(blamed(&model), (422, "default_model".to_owned()));

            let changed = office.make(&path("update"), &json!({"user_id": id, "max_budget": null}));
            assert_eq!(
                (&changed["max_budget"], &changed["alias"]),
                (&Value::Null, &json!("first"))
            );
            let info = office.show(&format!("/{word}/info?end_user_id={id}"));
            assert_eq!(info["alias"], "first");
            let blocked = office.make(&path("block"), &json!({"user_ids": [id, "not-seen-yet"]}));
            assert_eq!(blocked["blocked_users"].as_array().unwrap().len(), 2);
            assert_eq!(office.show(&format!("/{word}/info?end_user_id={id}"))["blocked"], true);
            office.make(&path("unblock"), &json!({"user_ids": [id]}));
            assert_eq!(office.show(&path("list")).as_array().unwrap().len(), 2);
            let deleted = office.make(&path("delete"), &json!({"user_ids": [id, "not-seen-yet"]}));
            assert_eq!(deleted["deleted_customers"], 2);
            assert_eq!(office.get(MASTER, &format!("/{word}/info?end_user_id={id}")).status, 404);
        }
    });
}

#[test]
fn a_budget_is_shared_by_those_who_name_it() {
    Office::on_each(|office| {
        let body = json!({"budget_id": "small", "max_budget": 1, "budget_duration": "1d",
            "model_max_budget": {"gpt": {"budget_limit": 0.5, "time_period": "1d"}}});
        let made = office.make("/budget/new", &body);
        assert!(made["budget_reset_at"].is_string(), "{made}");
        let same = office.post(MASTER, "/budget/new", &body);
        assert_eq!(blamed(&same), (400, "budget_id".to_owned()));
        let key = office.key(&json!({"budget_id": "small"}));
        let info = office.show(&format!("/key/info?key={key}"));
        assert_eq!(info["info"]["litellm_budget_table"]["max_budget"], 1.0);
        assert!(info["info"]["budget_reset_at"].is_string(), "the budget's period: {info}");
        let changed = office.make("/budget/update", &json!({"budget_id": "small", "rpm_limit": 5}));
        assert_eq!((&changed["rpm_limit"], &changed["max_budget"]), (&json!(5), &json!(1.0)));
        let infos = office.make("/budget/info", &json!({"budgets": ["small", "unknown"]}));
        assert_eq!(infos.as_array().unwrap().len(), 1);
        assert_eq!(office.show("/budget/list").as_array().unwrap().len(), 1);
        let settings = office.show("/budget/settings?budget_id=small");
        let settings = settings.as_array().unwrap();
        let field = |name: &str| settings.iter().find(|field| field["field_name"] == name).unwrap();
        assert_eq!(field("rpm_limit")["field_value"], 5);
        let tag = json!({"name": "batch", "budget_id": "small"});
        office.make("/tag/new", &tag);
        // Without it nothing would bound them.
        let in_use = office.post(MASTER, "/budget/delete", &json!({"id": "small"}));
        assert_eq!(blamed(&in_use), (400, "id".to_owned()));
        let message = in_use.error_message();
        assert!(
            message.contains("bounds 1 keys, 1 tags") && message.contains("force"),
            "{message}"
        );
        assert_eq!(office.show("/budget/list").as_array().unwrap().len(), 1);
        let forced = office.make("/budget/delete", &json!({"id": "small", "force": true}));
        assert_eq!(forced["budget_id"], "small");
        office.make("/budget/new", &json!({"budget_id": "unused"}));
        assert_eq!(office.make("/budget/delete", &json!({"id": "unused"}))["budget_id"], "unused");
        let gone = office.post(MASTER, "/budget/delete", &json!({"id": "small"}));
        assert_eq!(blamed(&gone), (404, "budget_id".to_owned()));
    });
}

#[test]
fn tags_are_described_and_bounded() {
    let office = Office::open();
    let body = json!({"name": "batch", "description": "by night", "max_budget": 3});
    let made = office.make("/tag/new", &body);
    assert_eq!((&made["tag"]["name"], &made["tag"]["max_budget"]), (&json!("batch"), &json!(3.0)));
    assert_eq!(blamed(&office.post(MASTER, "/tag/new", &body)), (400, "name".to_owned()));
    let changed = office.make("/tag/update", &json!({"name": "batch", "max_budget": 4}));
    assert_eq!(changed["tag"]["description"], "by night");
    assert_eq!(office.make("/tag/info", &json!({"names": ["batch"]}))["batch"]["max_budget"], 4.0);
    assert_eq!(office.post(MASTER, "/tag/info", &json!({"names": ["other"]})).status, 404);
    assert_eq!(office.show("/tag/list").as_array().unwrap().len(), 1);
    office.make("/tag/delete", &json!({"name": "batch"}));
    let gone = office.post(MASTER, "/tag/update", &json!({"name": "batch"}));
    assert_eq!(blamed(&gone), (404, "name".to_owned()));
}

/// What is left of a budget is shown wherever there is one.
#[test]
fn a_budget_is_shown_with_what_is_left_of_it() {
    Office::on_each(|office| {
        let bounds = json!({"max_budget": 8, "budget_duration": "30d"});
        let with = |more: Value| {
            let mut body = bounds.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let key = office.key(&with(json!({})));
        office.make("/key/update", &json!({"key": key, "spend": 2}));
        office.make("/user/new", &with(json!({"user_id": "ann", "auto_create_key": false})));
        office.make("/user/update", &json!({"user_id": "ann", "spend": 2}));
        office.make("/team/new", &with(json!({"team_id": "red"})));
        office.make("/customer/new", &with(json!({"user_id": "eve"})));
        let org = with(json!({"organization_id": "org", "organization_alias": "org"}));
        office.make("/organization/new", &org);
        let left = |shown: &Value| {
            let fields = ["monthly_budget", "spent", "remaining", "percentage_used"];
            fields.map(|field| shown[field].as_f64().unwrap_or_else(|| panic!("{field}: {shown}")))
        };
        let used = [8.0, 2.0, 6.0, 25.0];
        assert_eq!(left(&office.show(&format!("/key/info?key={key}"))["info"]), used);
        assert_eq!(left(&office.show("/user/info?user_id=ann")["user_info"]), used);
        let unused = [8.0, 0.0, 8.0, 0.0];
        assert_eq!(left(&office.show("/team/info?team_id=red")["team_info"]), unused);
        assert_eq!(left(&office.show("/customer/info?end_user_id=eve")), unused);
        assert_eq!(left(&office.show("/organization/info?organization_id=org")), unused);
        let free = office.key(&json!({}));
        let shown = office.show(&format!("/key/info?key={free}"));
        assert!(shown["info"].get("percentage_used").is_none(), "{shown}");
        // A budget that others refer to bounds each of them.
        office.make("/budget/new", &json!({"budget_id": "b", "max_budget": 4}));
        let named = office.key(&json!({"budget_id": "b"}));
        let shown = office.show(&format!("/key/info?key={named}"));
        assert_eq!(left(&shown["info"]), [4.0, 0.0, 4.0, 0.0]);
    });
}
