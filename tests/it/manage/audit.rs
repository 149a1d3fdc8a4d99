//! Every change is kept with who made it, and no secret is.

use serde_json::{Value, json};
use tollgate::keys::record::Kind;
use tollgate::keys::{Audit, AuditFilter, Directory as _};

use super::{MASTER, Office};
use crate::harness::*;

fn audits(office: &Office, kind: Kind) -> Vec<Audit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = office.database();
    let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
    let mut audits = runtime.block_on(database.audits(&filter)).unwrap();
    audits.reverse();
    audits
}

#[test]
fn a_change_is_kept_with_who_made_it_and_what_was_before() {
    let office = Office::open();
    let ann = office.user("ann", "internal_user", &json!({"auto_create_key": true}));
    let body = json!({"key_alias": "mine", "metadata": {"langfuse_secret_key": "hush-hush"}});
    let key = office.made(&ann, "/key/generate", &body)["key"].as_str().unwrap().to_owned();
    office.made(&ann, "/key/update", &json!({"key": key, "key_alias": "still-mine"}));
    office.make("/key/block", &json!({"key": key}));
    office.make("/key/unblock", &json!({"key": key}));
    office.make("/key/update", &json!({"key": key, "spend": 2}));
    let new = office.made(&ann, &format!("/key/{key}/regenerate"), &json!({}));
    let new = new["key"].as_str().unwrap();
    office.make("/key/delete", &json!({"keys": [new]}));

    let audits = audits(&office, Kind::Key);
    let told: Vec<_> =
        audits.iter().map(|audit| (audit.by.as_str(), audit.action.as_ref())).collect();
    assert_eq!(
        told,
        [
            ("master", "created"),
            ("ann", "created"),
            ("ann", "updated"),
            ("master", "blocked"),
            ("master", "unblocked"),
            ("master", "updated"),
            ("ann", "regenerated"),
            ("master", "deleted"),
        ]
    );
    let update = &audits[2];
    assert_eq!(update.before.as_ref().unwrap()["key_alias"], "mine");
    assert_eq!(update.after.as_ref().unwrap()["key_alias"], "still-mine");
    assert!(update.key.as_ref().is_some_and(|hash| hash.len() == 64), "by which key");
    assert!(audits[0].before.is_none() && audits[7].after.is_none());
    let told = |side: &Option<Value>| side.as_ref().unwrap()["spend"].clone();
    assert_eq!((told(&audits[5].before), told(&audits[5].after)), (json!(0.0), json!(2.0)));
    let written = format!("{audits:?}");
    for secret in [ann.as_str(), &key, new, "hush-hush"] {
        assert!(!written.contains(secret), "{secret} is in the audit log");
    }
}

#[test]
fn what_is_refused_leaves_no_trace() {
    let office = Office::open();
    let key = office.key(&json!({"key_alias": "one"}));
    for (path, body) in [
        ("/key/generate", json!({"key_alias": "one"})),
        ("/key/update", json!({"key": key, "max_budget": -1})),
        ("/key/delete", json!({"keys": [key, "sk-unknown-to-all"]})),
        ("/user/new", json!({"user_id": "ann", "teams": ["nowhere"]})),
    ] {
        assert!(office.post(MASTER, path, &body).status >= 400, "{path}");
    }
    assert_eq!(audits(&office, Kind::Key).len(), 1);
    assert!(audits(&office, Kind::User).is_empty());
    assert_eq!(office.client(&key).chat("gpt", "hi").status, 200, "nothing of it was done");
}

#[test]
fn the_access_log_says_whose_key_managed() {
    let office = Office::open();
    let ann = office.user("ann", "internal_user", &json!({"auto_create_key": true}));
    let line = |reply: &Reply| office.gateway.logged(reply.request_id());
    let by_master = line(&office.post(MASTER, "/key/generate", &json!({})));
    assert_eq!((&by_master["key"], &by_master["status"]), (&json!("master"), &json!(200)));
    // Also of who is known and may not.
    for (path, status) in [("/key/generate", 200), ("/model/new", 403)] {
        let told = line(&office.post(&ann, path, &json!({})));
        assert_eq!(told["status"], status, "{told}");
        assert_eq!((&told["key"], &told["user"]), (&json!("virtual"), &json!("ann")), "{told}");
        assert_eq!(told["key_hash"].as_str().unwrap().len(), 64, "{told}");
    }
    let stranger = line(&office.get("sk-nobodys", "/key/list"));
    assert_eq!((&stranger["key"], &stranger["status"]), (&json!("none"), &json!(401)));
}
