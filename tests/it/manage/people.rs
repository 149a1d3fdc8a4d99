//! Users, teams, members and organisations.

use http::Method;
use serde_json::{Value, json};

use super::{MASTER, Office, blamed};
use crate::harness::postgres;

#[test]
fn a_user_begins_with_a_key_and_ends_with_all_of_them() {
    Office::on_each(|office| {
        let made = office.make(
            "/user/new",
            &json!({"user_id": "ann", "user_email": "ann@example.com", "user_role": "internal_user",
                "max_budget": 10, "budget_duration": "30d", "models": ["gpt"]}),
        );
        let key = made["key"].as_str().unwrap();
        assert_eq!(
            (&made["user_id"], &made["user_role"]),
            (&json!("ann"), &json!("internal_user"))
        );
        assert_eq!(office.client(key).chat("gpt", "hi").text(), "hello");

        let info = office.show("/user/info?user_id=ann");
        assert_eq!(info["user_info"]["user_email"], "ann@example.com");
        assert_eq!((info["keys"].as_array().unwrap().len(), &info["teams"]), (1, &json!([])));
        assert_eq!(office.show("/v2/user/info?user_id=ann")["max_budget"], 10.0);
        let listed = office.show("/user/list?user_email=ANN@&page_size=5");
        assert_eq!((&listed["total"], &listed["users"][0]["key_count"]), (&json!(1), &json!(1)));

        let body = json!({"user_email": "ann@example.com", "max_budget": 20});
        let changed = office.make("/user/update", &body);
        assert_eq!(
            (&changed["user_id"], &changed["data"]["max_budget"]),
            (&json!("ann"), &json!(20.0))
        );

        let same = office.post(MASTER, "/user/new", &json!({"user_id": "ann"}));
        assert_eq!(blamed(&same), (409, "user_id".to_owned()));
        let address = json!({"user_email": "ann@example.com"});
        let same = office.post(MASTER, "/user/new", &address);
        assert_eq!(blamed(&same), (409, "user_email".to_owned()));
        let role = office.post(MASTER, "/user/new", &json!({"user_role": "emperor"}));
        assert_eq!(blamed(&role), (422, "user_role".to_owned()));

        assert_eq!(office.make("/user/delete", &json!({"user_ids": ["ann"]})), json!(1));
        assert_eq!(office.client(key).chat("gpt", "hi").status, 401, "with the user's keys");
        assert_eq!(office.get(MASTER, "/user/info?user_id=ann").status, 404);
    });
}

#[test]
fn a_team_has_members_and_keys_of_its_own() {
    Office::on_each(|office| {
        let ann = office.user("ann", "internal_user", &json!({"user_email": "ann@example.com"}));
        let team = office.make(
            "/team/new",
            &json!({"team_alias": "web", "models": ["gpt"], "max_budget": 100, "rpm_limit": 60,
                "members_with_roles": [{"role": "admin", "user_id": "ann"}]}),
        );
        let id = team["team_id"].as_str().unwrap();
        assert_eq!((&team["admins"], &team["members"]), (&json!(["ann"]), &json!([])));

        // Its admin takes in others, but makes nobody up.
        let by_ann = |path: &str, body: &Value| office.post(&ann, path, body);
        let stranger = json!({"team_id": id, "member": {"role": "user", "user_id": "new"}});
        assert_eq!(by_ann("/team/member_add", &stranger).status, 403);
        let bob = office.user("bob", "internal_user", &json!({}));
        let added = json!({"team_id": id, "max_budget_in_team": 2,
            "member": [{"role": "user", "user_id": "bob"}]});
        let added = office.made(&ann, "/team/member_add", &added);
        assert_eq!(added["members"], json!(["bob"]));
        let membership = &added["updated_team_memberships"][0];
        assert_eq!((&membership["user_id"], &membership["spend"]), (&json!("bob"), &json!(0.0)));
        assert_eq!(membership["litellm_budget_table"]["max_budget"], 2.0);
        let twice = json!({"team_id": id, "member": {"role": "user", "user_id": "bob"}});
        assert_eq!(blamed(&by_ann("/team/member_add", &twice)), (400, "user_id".to_owned()));
        assert_eq!(office.show("/user/info?user_id=bob")["teams"][0]["team_id"], id);

        // A key of the team: within its bounds, for its members, by its admin.
        let made = office.made(&ann, "/key/generate", &json!({"team_id": id, "user_id": "bob"}));
        let team_key = made["key"].as_str().unwrap();
        assert_eq!(office.client(team_key).chat("gpt", "hi").text(), "hello");
        for (body, field) in [
            (json!({"team_id": id, "max_budget": 101}), "max_budget"),
            (json!({"team_id": id, "rpm_limit": 61}), "rpm_limit"),
            (json!({"team_id": id, "models": ["other"]}), "models"),
            (json!({"team_id": id, "user_id": "nobody"}), "user_id"),
        ] {
            let reply = by_ann("/key/generate", &body);
            assert_eq!(blamed(&reply), (400, field.to_owned()), "{body}");
        }
        assert_eq!(office.post(&bob, "/key/generate", &json!({"team_id": id})).status, 403);
        let service = json!({"team_id": id, "key_alias": "deployer"});
        let service = office.made(&ann, "/key/service-account/generate", &service);
        assert_eq!((&service["user_id"], &service["team_id"]), (&Value::Null, &json!(id)));
        assert_eq!(service["metadata"]["service_account_id"], "deployer");

        let body =
            json!({"team_id": id, "user_id": "bob", "max_budget_in_team": 5, "role": "admin"});
        let changed = office.made(&ann, "/team/member_update", &body);
        assert_eq!(
            (&changed["max_budget_in_team"], &changed["role"]),
            (&json!(5.0), &json!("admin"))
        );
        let info = office.shown(&bob, &format!("/team/info?team_id={id}"));
        assert_eq!(info["team_info"]["admins"], json!(["ann", "bob"]));
        assert_eq!(info["keys"].as_array().unwrap().len(), 2);

        office.make("/team/block", &json!({"team_id": id}));
        assert_eq!(office.client(team_key).chat("gpt", "hi").status, 401, "at once");
        assert_eq!(by_ann("/team/unblock", &json!({"team_id": id})).status, 403);
        office.make("/team/unblock", &json!({"team_id": id}));
        assert_eq!(office.client(team_key).chat("gpt", "hi").status, 200);

        let body = json!({"team_id": id, "user_id": "bob"});
        assert_eq!(office.made(&ann, "/team/member_delete", &body)["admins"], json!(["ann"]));
        assert_eq!(office.client(team_key).chat("gpt", "hi").status, 401, "with the member's keys");
        assert_eq!(blamed(&by_ann("/team/member_delete", &body)), (400, "user_id".to_owned()));
        let service = service["key"].as_str().unwrap();
        assert_eq!(office.client(service).chat("gpt", "hi").status, 200);
        let deleted = office.make("/team/delete", &json!({"team_ids": [id]}));
        assert_eq!(deleted, json!({"deleted_teams": [id]}));
        assert_eq!(office.client(service).chat("gpt", "hi").status, 401);
        assert_eq!(office.show("/user/info?user_id=ann")["teams"], json!([]));
    });
}

#[test]
fn teams_are_updated_and_listed() {
    let office = Office::open();
    for alias in ["alpha", "beta", "gamma"] {
        office
            .make("/team/new", &json!({"team_id": alias, "team_alias": alias, "models": ["gpt"]}));
    }
    let same = office.post(MASTER, "/team/new", &json!({"team_id": "beta"}));
    assert_eq!(blamed(&same), (400, "team_id".to_owned()));
    let unknown = office.post(MASTER, "/team/update", &json!({"team_id": "delta"}));
    assert_eq!(blamed(&unknown), (404, "team_id".to_owned()));
    let body = json!({"team_id": "beta", "max_budget": 5, "metadata": {"a": 1}});
    let changed = office.make("/team/update", &body);
    assert_eq!(
        (&changed["team_id"], &changed["data"]["max_budget"]),
        (&json!("beta"), &json!(5.0))
    );
    assert_eq!(changed["data"]["team_alias"], "beta", "what is not named stays");
    assert_eq!(office.show("/team/list").as_array().unwrap().len(), 3);
    let page = office.show("/v2/team/list?page=1&page_size=2&sort_by=team_alias&sort_order=desc");
    let aliases: Vec<&str> = page["teams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|team| team["team_alias"].as_str().unwrap())
        .collect();
    assert_eq!((aliases.as_slice(), &page["total"]), (&["gamma", "beta"][..], &json!(3)));
    let models = json!({"team_id": "alpha", "models": ["other"]});
    assert_eq!(office.make("/team/model/add", &models)["models"], json!(["gpt", "other"]));
    assert_eq!(office.make("/team/model/delete", &models)["models"], json!(["gpt"]));
    let last =
        office.post(MASTER, "/team/model/delete", &json!({"team_id": "alpha", "models": ["gpt"]}));
    assert_eq!(blamed(&last), (400, "models".to_owned()), "no models would mean all of them");
    assert_eq!(office.show("/team/available"), json!([]));
}

#[test]
fn gateways_that_change_one_team_at_once_lose_nothing() {
    let url = postgres::database();
    let office = || Office::with(|builder| builder.general(&format!("database_url: {url}")));
    let offices = [office(), office()];
    offices[0].make("/team/new", &json!({"team_id": "web"}));
    let done: Vec<(String, u16)> = std::thread::scope(|scope| {
        let workers = (0..8).map(|worker| {
            let office = &offices[worker % 2];
            scope.spawn(move || {
                let add = |number: usize| {
                    let user_id = format!("u{worker}-{number}");
                    let body = json!({"team_id": "web",
                        "member": {"role": "user", "user_id": user_id}});
                    (user_id, office.post(MASTER, "/team/member_add", &body).status)
                };
                (0..5).map(add).collect::<Vec<_>>()
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(done.iter().all(|(_, status)| matches!(status, 200 | 409)), "{done:?}");
    let mut added: Vec<&str> =
        done.iter().filter(|(_, status)| *status == 200).map(|(id, _)| id.as_str()).collect();
    let team = offices[0].show("/team/info?team_id=web");
    let members = team["team_info"]["members"].as_array().unwrap();
    let mut members: Vec<&str> = members.iter().map(|id| id.as_str().unwrap()).collect();
    members.sort_unstable();
    added.sort_unstable();
    assert_eq!(members, added);
}

#[test]
fn an_organisation_has_an_admin_who_manages_its_teams_and_users() {
    let office = Office::open();
    let made = office.make(
        "/organization/new",
        &json!({"organization_alias": "north", "models": ["gpt"], "max_budget": 50}),
    );
    let id = made["organization_id"].as_str().unwrap();
    office
        .make("/organization/new", &json!({"organization_id": "south", "organization_alias": "s"}));
    let eve = office.user("eve", "internal_user", &json!({}));
    let member = json!({"organization_id": id, "member": {"role": "org_admin", "user_id": "eve"}});
    let added = office.make("/organization/member_add", &member);
    assert_eq!(added["updated_organization_memberships"][0]["user_role"], "org_admin");

    let team = json!({"team_id": "n1", "organization_id": id, "models": ["gpt"]});
    let team = office.made(&eve, "/team/new", &team);
    assert_eq!(team["admins"], json!(["eve"]), "whoever makes a team manages it");
    for (body, status) in [
        (json!({"team_id": "n2"}), 403),
        (json!({"team_id": "n2", "organization_id": "south"}), 403),
        (json!({"team_id": "n2", "organization_id": id, "max_budget": 51}), 400),
        (json!({"team_id": "n2", "organization_id": id, "models": ["other"]}), 400),
    ] {
        assert_eq!(office.post(&eve, "/team/new", &body).status, status, "{body}");
    }
    let user = json!({"user_id": "sam", "organizations": [id]});
    office.made(&eve, "/user/new", &user);
    for body in [
        json!({"user_id": "tom"}),
        json!({"user_id": "tom", "organizations": ["south"]}),
        json!({"user_id": "tom", "organizations": [id], "user_role": "proxy_admin"}),
        json!({"user_id": "tom", "organizations": [id], "user_role": "org_admin"}),
    ] {
        assert_eq!(office.post(&eve, "/user/new", &body).status, 403, "{body}");
    }
    let role = |role: &str| json!({"organization_id": id, "user_id": "sam", "role": role});
    let changed = office.made(&eve, "/organization/member_update", &role("internal_user_viewer"));
    assert_eq!(
        (&changed["user_id"], &changed["user_role"]),
        (&json!("sam"), &json!("internal_user_viewer"))
    );
    assert_eq!(
        office.show("/user/info?user_id=sam")["user_info"]["user_role"],
        "internal_user_viewer"
    );
    for (body, status) in [
        (role("proxy_admin"), 422),
        (json!({"organization_id": id, "user_id": "nobody", "role": "internal_user"}), 404),
        (json!({"organization_id": "south", "user_id": "sam", "role": "internal_user"}), 403),
    ] {
        assert_eq!(
            office.post(&eve, "/organization/member_update", &body).status,
            status,
            "{body}"
        );
    }
    let promoted = json!({"user_id": "sam", "user_role": "proxy_admin"});
    assert_eq!(office.post(&eve, "/user/update", &promoted).status, 403);
    let more = json!({"user_id": "eve", "max_budget": 1000});
    assert_eq!(office.post(&eve, "/user/update", &more).status, 403, "not their own");
    let users = office.shown(&eve, "/user/list");
    assert_eq!(users["total"], 2, "those of the organization: {users}");
    assert_eq!(office.shown(&eve, "/organization/list").as_array().unwrap().len(), 1);
    let info = office.shown(&eve, &format!("/organization/info?organization_id={id}"));
    assert_eq!(info["members"].as_array().unwrap().len(), 2);
    assert_eq!(office.get(&eve, "/organization/info?organization_id=south").status, 403);

    let patch = |key: &str, body: &Value| {
        let client = office.client(key);
        client.request(Method::PATCH, "/organization/update").json(body).send()
    };
    let budget = json!({"organization_id": id, "max_budget": 500});
    assert_eq!(patch(&eve, &budget).status, 403);
    let renamed = patch(&eve, &json!({"organization_id": id, "organization_alias": "n"}));
    assert_eq!((renamed.status, &renamed.json()["organization_alias"]), (200, &json!("n")));
    assert_eq!(patch(MASTER, &budget).json()["max_budget"], 500.0);

    let body = json!({"organization_ids": [id]});
    let gone =
        office.client(MASTER).request(Method::DELETE, "/organization/delete").json(&body).send();
    assert_eq!(gone.status, 200, "{}", gone.body_text());
    assert_eq!(office.get(MASTER, "/team/info?team_id=n1").status, 404, "with its teams");
    assert_eq!(office.show("/v2/user/info?user_id=eve")["user_role"], "internal_user");
}

#[test]
fn who_leads_an_organisation_gives_no_more_than_it_has() {
    let office = Office::open();
    office.make(
        "/organization/new",
        &json!({"organization_id": "o", "organization_alias": "o",
        "max_budget": 1}),
    );
    let lead = office.user("lead", "org_admin", &json!({"organization_id": "o"}));
    office.user("mia", "internal_user", &json!({"organization_id": "o", "max_budget": 0.5}));
    let by_lead = |body: &Value| office.post(&lead, "/user/update", body);
    assert_eq!(by_lead(&json!({"user_id": "mia", "max_budget": 1})).status, 200);
    let beyond = by_lead(&json!({"user_id": "mia", "max_budget": 2}));
    assert_eq!(blamed(&beyond), (400, "max_budget".to_owned()));
    let forgiven = by_lead(&json!({"user_id": "mia", "spend": 0}));
    assert_eq!(blamed(&forgiven), (403, "spend".to_owned()));
}

#[test]
fn a_user_without_a_budget_is_shown_the_one_that_holds() {
    let office = Office::with(|builder| {
        builder.litellm("max_internal_user_budget: 2\ninternal_user_budget_duration: daily")
    });
    office.user("ann", "internal_user", &json!({}));
    office.user("bea", "internal_user", &json!({"max_budget": 5}));
    office.user("root", "proxy_admin", &json!({}));
    let shown = |user: &str| office.show(&format!("/v2/user/info?user_id={user}"));
    let ann = shown("ann");
    assert_eq!((&ann["max_budget"], &ann["budget_duration"]), (&json!(2.0), &json!("daily")));
    assert_eq!((&ann["remaining"], &ann["percentage_used"]), (&json!(2.0), &json!(0.0)));
    assert!(ann["budget_reset_at"].is_string(), "{ann}");
    assert_eq!(shown("bea")["max_budget"], 5.0);
    assert_eq!(shown("root")["max_budget"], Value::Null, "admins have none");
}

#[test]
fn bounds_that_nobody_would_hold_are_refused_wherever_they_stand() {
    let office = Office::open();
    for (path, body, field) in [
        ("/key/generate", json!({"tag_rpm_limit": {"x": 1}}), "tag_rpm_limit"),
        ("/key/generate", json!({"metadata": {"tpd_limit": 1}}), "metadata.tpd_limit"),
        ("/key/generate", json!({"rpm_limit_type": "guaranteed_throughput"}), "rpm_limit_type"),
        ("/team/new", json!({"model_otpm_limit": {"gpt": 1}}), "model_otpm_limit"),
        (
            "/organization/new",
            json!({"organization_alias": "o", "metadata": {"model_rpm_limit": {"gpt": 1}}}),
            "metadata.model_rpm_limit",
        ),
    ] {
        let reply = office.post(MASTER, path, &body);
        assert_eq!(blamed(&reply), (400, field.to_owned()), "{body}");
    }
    let unknown = office.post(MASTER, "/key/generate", &json!({"tpm_limit_type": "most"}));
    assert_eq!(blamed(&unknown), (422, "tpm_limit_type".to_owned()));
    // LiteLLM's forms send it so.
    assert_eq!(office.make("/key/generate", &json!({"max_budget": ""}))["max_budget"], Value::Null);
}
