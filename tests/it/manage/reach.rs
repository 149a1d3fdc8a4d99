//! What of all records a caller may see and change.

use serde_json::{Value, json};

use super::{MASTER, Office, blamed};

#[test]
fn a_user_has_their_own_keys_and_nobody_elses() {
    let office = Office::open();
    let ann = office.user("ann", "internal_user", &json!({}));
    let bob = office.user("bob", "internal_user", &json!({}));
    let made = office.made(&ann, "/key/generate", &json!({"key_alias": "second"}));
    assert_eq!(made["user_id"], "ann", "whose key it is needs no saying");
    let second = made["key"].as_str().unwrap();
    for body in [
        json!({"user_id": "bob"}),
        json!({"user_id": "ann", "allowed_routes": ["/x"]}),
        json!({"key_type": "management"}),
        json!({"spend": 5}),
    ] {
        assert_eq!(office.post(&ann, "/key/generate", &body).status, 403, "{body}");
    }
    assert_eq!(office.shown(&ann, "/key/list")["total_count"], 2);
    assert_eq!(office.get(&ann, "/key/list?user_id=bob").status, 403);
    assert_eq!(office.get(&bob, &format!("/key/info?key={second}")).status, 403);
    // Whether there is such a key is not told either.
    assert_eq!(office.get(&bob, "/key/info?key=sk-unknown-to-all").status, 403);
    for (path, body) in [
        ("/key/update", json!({"key": second, "key_alias": "mine"})),
        ("/key/delete", json!({"keys": [second]})),
        ("/key/regenerate", json!({"key": second})),
        ("/key/block", json!({"key": second})),
    ] {
        assert_eq!(office.post(&bob, path, &body).status, 403, "{path}");
    }
    for (path, body) in [
        ("/key/update", json!({"key_alias": "nobody-has-it"})),
        ("/key/update", json!({"key_alias": "second", "models": []})),
        ("/key/delete", json!({"key_aliases": ["nobody-has-it"]})),
        ("/key/delete", json!({"keys": ["sk-unknown-to-all"]})),
        ("/key/block", json!({"key": "sk-unknown-to-all"})),
        ("/key/sk-unknown-to-all/reset_spend", json!({"reset_to": 0})),
    ] {
        assert_eq!(office.post(&bob, path, &body).status, 403, "{path} {body}");
    }
    assert_eq!(office.client(second).chat("gpt", "hi").status, 200);

    // Not every change of one's own is one's own to make.
    let update = |body: Value| office.post(&ann, "/key/update", &body).status;
    assert_eq!(update(json!({"key": second, "key_alias": "third", "tags": ["t"]})), 200);
    for body in [
        json!({"key": second, "max_budget": 1000}),
        json!({"key": second, "max_budget": null}),
        json!({"key": second, "spend": 0}),
        json!({"key": second, "budget_duration": "1h"}),
        json!({"key": second, "user_id": "bob"}),
        json!({"key": second, "user_id": null}),
        json!({"key": second, "key_type": "management"}),
        json!({"key": second, "allowed_routes": ["/key/info"]}),
    ] {
        assert_eq!(update(body.clone()), 403, "{body}");
    }
    // What an admin has set for a user, the user does not widen.
    let given = office.key(&json!({"user_id": "ann", "models": ["other"]}));
    assert_eq!(update(json!({"key": given, "models": []})), 403);
    let path = format!("/key/{given}/regenerate");
    assert_eq!(office.post(&ann, &path, &json!({"models": []})).status, 403);
    assert_eq!(office.post(&ann, &path, &json!({})).status, 200, "a new secret for it, yes");

    // A blocked key is not unblocked by who was blocked.
    office.make("/key/block", &json!({"key": second}));
    assert_eq!(office.post(&ann, "/key/unblock", &json!({"key": second})).status, 403);
    assert_eq!(update(json!({"key": second, "blocked": false})), 403);
    assert_eq!(
        office.made(&ann, "/key/delete", &json!({"keys": [second]}))["deleted_keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn nobody_gives_more_than_is_theirs() {
    let office = Office::open();
    let ann = office.user("ann", "internal_user", &json!({}));
    office.make("/key/update", &json!({"key": ann, "max_budget": 5}));
    let reply = office.post(&ann, "/key/generate", &json!({"max_budget": 6}));
    assert_eq!(blamed(&reply), (400, "max_budget".to_owned()));
    office.made(&ann, "/key/generate", &json!({"max_budget": 5}));
}

#[test]
fn a_user_sees_themselves_and_changes_their_name() {
    let office = Office::open();
    let ann = office.user("ann", "internal_user", &json!({"max_budget": 1}));
    office.user("bob", "internal_user", &json!({"user_email": "bob@example.com"}));
    assert_eq!(office.shown(&ann, "/user/info")["user_id"], "ann");
    assert_eq!(office.shown(&ann, "/v2/user/info")["max_budget"], 1.0);
    assert_eq!(office.get(&ann, "/user/info?user_id=bob").status, 403);
    assert_eq!(office.get(&ann, "/user/info?user_id=nobody").status, 403);
    let body = json!({"user_id": "ann", "user_email": "ann@example.com"});
    assert_eq!(office.made(&ann, "/user/update", &body)["data"]["user_email"], "ann@example.com");
    for body in [
        json!({"user_id": "ann", "max_budget": 100}),
        json!({"user_id": "ann", "user_role": "proxy_admin"}),
        json!({"user_id": "ann", "models": []}),
        json!({"user_id": "bob", "user_alias": "b"}),
        json!({"user_id": "nobody", "user_alias": "b"}),
        json!({"user_email": "bob@example.com", "user_alias": "b"}),
    ] {
        assert_eq!(office.post(&ann, "/user/update", &body).status, 403, "{body}");
    }
    let taken = json!({"user_id": "ann", "user_email": "bob@example.com"});
    assert_eq!(office.post(&ann, "/user/update", &taken).status, 409);
}

#[test]
fn a_team_is_seen_by_its_members_and_changed_by_its_admins() {
    let office = Office::open();
    let [ann, bob, eve] =
        ["ann", "bob", "eve"].map(|id| office.user(id, "internal_user", &json!({})));
    let body = json!({"team_id": "web", "max_budget": 10, "members_with_roles": [
        {"role": "admin", "user_id": "ann"}, {"role": "user", "user_id": "bob"}]});
    office.make("/team/new", &body);
    let service = office.key(&json!({"team_id": "web"}));
    // Nobody takes a key out of the bounds of its team.
    let own = office.made(&ann, "/key/generate", &json!({"team_id": "web", "user_id": "bob"}));
    let out = json!({"key": own["key"], "team_id": null});
    assert_eq!(office.post(&bob, "/key/update", &out).status, 403);
    office.make("/key/delete", &json!({"keys": [own["key"]]}));
    for key in [&ann, &bob, &service] {
        let shown = office.shown(key, "/team/info?team_id=web");
        assert_eq!(shown["team_id"], "web");
        assert_eq!(office.shown(key, "/team/list")[0]["team_id"], "web");
    }
    assert_eq!(office.get(&eve, "/team/info?team_id=web").status, 403);
    assert_eq!(office.get(&eve, "/team/info?team_id=nowhere").status, 403);
    assert_eq!(office.shown(&eve, "/team/list"), json!([]));
    assert_eq!(office.get(&eve, "/team/list?user_id=ann").status, 403);
    assert_eq!(office.get(&eve, "/key/list?team_id=web").status, 403);
    assert_eq!(office.shown(&ann, "/key/list?team_id=web")["total_count"], 1, "the admin sees all");
    assert_eq!(office.shown(&bob, "/key/list?team_id=web")["total_count"], 0, "a member their own");
    let all = office.shown(&ann, "/key/list?include_team_keys=true");
    assert_eq!(all["total_count"], 2);

    let renamed = json!({"team_id": "web", "team_alias": "Web"});
    office.made(&ann, "/team/update", &renamed);
    assert_eq!(office.post(&bob, "/team/update", &renamed).status, 403);
    for body in [
        json!({"team_id": "web", "max_budget": 1000}),
        json!({"team_id": "web", "models": []}),
        json!({"team_id": "web", "organization_id": null}),
        json!({"team_id": "web", "blocked": false}),
    ] {
        assert_eq!(office.post(&ann, "/team/update", &body).status, 403, "{body}");
    }
    for path in ["/team/member_add", "/team/member_delete", "/team/member_update"] {
        let body = json!({"team_id": "web", "user_id": "ann", "role": "user",
            "member": {"role": "admin", "user_id": "eve"}});
        assert_eq!(office.post(&bob, path, &body).status, 403, "{path}");
    }
    assert_eq!(office.post(&ann, "/team/delete", &json!({"team_ids": ["web"]})).status, 403);
    // The admin of a team runs its keys.
    let hash = office.shown(&ann, "/key/list?team_id=web")["keys"][0].clone();
    office.made(&ann, "/key/block", &json!({"key": hash}));
    assert_eq!(office.client(&service).chat("gpt", "hi").status, 401);
    office.made(&ann, "/key/update", &json!({"key": hash, "max_budget": 9}));
    let beyond = json!({"key": hash, "max_budget": 11});
    assert_eq!(blamed(&office.post(&ann, "/key/update", &beyond)), (400, "max_budget".to_owned()));
}

#[test]
fn who_sees_all_sees_all_and_changes_nothing() {
    let office = Office::open();
    let viewer = office.user("viewer", "proxy_admin_viewer", &json!({}));
    let key = office.key(&json!({"key_alias": "other"}));
    assert_eq!(
        office.shown(&viewer, &format!("/key/info?key={key}"))["info"]["key_alias"],
        "other"
    );
    assert_eq!(office.shown(&viewer, "/key/list")["total_count"], 2);
    assert_eq!(office.shown(&viewer, "/user/list")["total"], 1);
    for (path, body) in [
        ("/key/delete", json!({"keys": [key]})),
        ("/key/generate", json!({})),
        ("/user/update", json!({"user_id": "viewer", "user_role": "proxy_admin"})),
    ] {
        assert_eq!(office.post(&viewer, path, &body).status, 403, "{path}");
    }
    assert_eq!(office.show("/v2/user/info?user_id=viewer")["user_role"], "proxy_admin_viewer");
    assert_eq!(office.get(MASTER, "/key/info").status, 404, "the master key is no record");
}

#[test]
fn who_runs_a_team_does_not_get_the_power_of_its_members() {
    let office = Office::open();
    office.make("/user/new", &json!({"user_id": "boss", "user_role": "proxy_admin"}));
    office.make("/user/new", &json!({"user_id": "ann", "user_role": "internal_user"}));
    let own = office.make("/key/generate", &json!({"user_id": "ann"}));
    let ann = own["key"].as_str().unwrap().to_owned();
    let member = json!([{"user_id": "ann", "role": "admin"}, {"user_id": "boss", "role": "user"}]);
    office.make("/team/new", &json!({"team_id": "red", "members_with_roles": member}));
    let bosses = office.make("/key/generate", &json!({"team_id": "red", "user_id": "boss"}));

    let made = office.post(&ann, "/key/generate", &json!({"team_id": "red", "user_id": "boss"}));
    let path = format!("/key/{}/regenerate", bosses["token"].as_str().unwrap());
    let again = office.post(&ann, &path, &json!({}));
    for reply in [made, again] {
        let Some(key) = reply.json()["key"].as_str().map(str::to_owned) else { continue };
        let refused = office.post(&key, "/user/new", &json!({"user_id": "mallory"}));
        assert_eq!(refused.status, 403, "{}", refused.body_text());
        let raised = json!({"user_id": "ann", "user_role": "proxy_admin"});
        assert_eq!(office.post(&key, "/user/update", &raised).status, 403);
    }
    let escape = json!({"team_id": "red", "model_aliases": {"gpt": "o3"}});
    assert_eq!(office.post(&ann, "/team/update", &escape).status, 403);
    let untagged = json!({"team_id": "red", "metadata": {"tags": ["cheap"]}});
    assert_eq!(office.post(&ann, "/team/update", &untagged).status, 403);
    assert_eq!(
        office.post(&ann, "/team/update", &json!({"team_id": "red", "team_alias": "r"})).status,
        200
    );
}
