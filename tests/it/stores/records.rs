//! Keys, users, teams: kept, found, changed together or not at all, and heard of by others.

use tollgate::keys::record::{Key, Kind, Team, User};
use tollgate::keys::{
    Audit, AuditFilter, Change, Changed, Directory as _, Entry, Filter, KeyHash, Order, OrderBy,
    StoreError, fetch,
};

use super::on_each;

fn key(plain: &str, alias: Option<&str>, team: Option<&str>) -> Key {
    let token = KeyHash::of(plain.as_bytes());
    let key = serde_json::json!({ "token": token, "key_alias": alias, "team_id": team });
    serde_json::from_value(key).unwrap()
}

fn insert(key: &Key) -> Change {
    Change::Insert(Kind::Key, Entry::of(key).unwrap())
}

#[test]
fn a_record_is_found_as_it_was_kept() {
    on_each(async |open| {
        let database = open();
        let it = key("sk-one", Some("ci"), Some("red"));
        assert_eq!(fetch::<Key>(&database, &it.token.to_string()).await.unwrap(), None);
        database.change(vec![insert(&it)], Vec::new()).await.unwrap();
        // Opened anew: it is in the database, not in this process.
        let found = fetch::<Key>(&open(), &it.token.to_string()).await.unwrap();
        assert_eq!(found, Some(it));
    });
}

#[test]
fn changes_are_made_together_or_not_at_all() {
    on_each(async |open| {
        let database = open();
        let (one, two) = (key("sk-1", Some("ci"), None), key("sk-2", Some("ci"), None));
        database.change(vec![insert(&one)], Vec::new()).await.unwrap();
        let team = Team { team_id: "red".into(), ..Team::default() };
        let changes = vec![Change::Put(Kind::Team, Entry::of(&team).unwrap()), insert(&two)];
        let refused = database.change(changes, Vec::new()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
        assert_eq!(refused.to_string(), "there is a key with this id or alias already");
        assert_eq!(fetch::<Team>(&database, "red").await.unwrap(), None, "nothing was changed");
        let changed = database.changed_since(Some(0)).await.unwrap();
        assert_eq!(changed.len(), 1, "nobody hears of what did not happen");
    });
}

#[test]
fn records_are_listed_by_who_they_belong_to_and_in_pages() {
    on_each(async |open| {
        let database = open();
        let mut keys: Vec<Key> =
            (0..5).map(|n| key(&format!("sk-{n}"), None, Some("red"))).collect();
        keys.push(key("sk-other", Some("other"), Some("blue")));
        let changes = keys.iter().map(insert).collect();
        database.change(changes, Vec::new()).await.unwrap();
        let red = Filter { team: Some("red".into()), ..Filter::default() };
        assert_eq!(database.count(Kind::Key, &red).await.unwrap(), 5);
        let all = database.list(Kind::Key, &red).await.unwrap();
        assert_eq!(all.len(), 5);
        assert!(all.is_sorted_by(|a, b| a.id < b.id));
        let page = Filter { skip: 1, limit: 2, ..red.clone() };
        assert_eq!(database.list(Kind::Key, &page).await.unwrap(), all[1..3]);
        let after = Filter { after: Some(all[2].id.clone()), ..red };
        assert_eq!(database.list(Kind::Key, &after).await.unwrap(), all[3..]);
        let named = Filter { alias: Some("other".into()), ..Filter::default() };
        assert_eq!(database.list(Kind::Key, &named).await.unwrap().len(), 1);
        for (part, found) in [("THE", 1), ("", 1), ("oth_r", 0), ("%", 0), ("!", 0)] {
            let part = Filter { alias_part: Some(part.into()), ..Filter::default() };
            assert_eq!(database.count(Kind::Key, &part).await.unwrap(), found, "{part:?}");
        }
        let quoted = Filter { team: Some("' OR 1=1 --".into()), ..Filter::default() };
        assert!(database.list(Kind::Key, &quoted).await.unwrap().is_empty());
    });
}

#[test]
fn others_hear_of_every_change_in_its_order() {
    on_each(async |open| {
        let (here, there) = (open(), open());
        let it = key("sk-1", None, None);
        let id = it.token.to_string();
        here.change(vec![insert(&it)], Vec::new()).await.unwrap();
        let latest = there.changed_since(None).await.unwrap();
        let heard = latest.last().unwrap().revision;
        let user = User { user_id: "ada".into(), ..User::default() };
        let changes = vec![
            Change::Put(Kind::User, Entry::of(&user).unwrap()),
            Change::Delete(Kind::Key, id.clone()),
        ];
        here.change(changes, Vec::new()).await.unwrap();
        let changed = there.changed_since(Some(heard)).await.unwrap();
        let told: Vec<_> = changed.iter().map(|it| (it.kind, it.id.as_str())).collect();
        assert_eq!(told, [(Kind::User, "ada"), (Kind::Key, id.as_str())]);
        assert!(changed.is_sorted_by(|a, b| a.revision < b.revision));
        let again = there.changed_since(Some(changed[1].revision)).await.unwrap();
        assert!(again.is_empty());
    });
}

#[test]
fn a_change_is_refused_if_somebody_else_was_faster() {
    on_each(async |open| {
        let (here, there) = (open(), open());
        let it = key("sk-1", None, None);
        let id = it.token.to_string();
        here.change(vec![insert(&it), insert(&key("sk-2", None, None))], Vec::new()).await.unwrap();
        let revision = |changed: Vec<Changed>| changed.last().map_or(0, |last| last.revision);
        let known = revision(there.changed_since(None).await.unwrap());
        let expect = |since| Change::Expect { kind: Kind::Key, id: id.clone(), since };
        let put = || Change::Put(Kind::Key, Entry::of(&it).unwrap());
        // Somebody changes another record: that is nobody's loss.
        let other = Change::Delete(Kind::Key, key("sk-2", None, None).token.to_string());
        here.change(vec![other], Vec::new()).await.unwrap();
        there.change(vec![expect(known), put()], Vec::new()).await.unwrap();
        let late = here.change(vec![expect(known), put()], Vec::new()).await;
        assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
        let latest = revision(here.changed_since(None).await.unwrap());
        here.change(vec![expect(latest), put()], Vec::new()).await.unwrap();
        let changed = there.changed_since(Some(known)).await.unwrap();
        assert_eq!(changed.len(), 3, "what is expected is no change");
    });
}

#[test]
fn two_gateways_that_start_at_once_make_the_schema_once() {
    on_each(async |open| {
        let databases: Vec<_> = (0..4).map(|_| open()).collect();
        let changes = databases.iter().enumerate().map(|(n, database)| async move {
            let it = key(&format!("sk-{n}"), None, None);
            database.change(vec![insert(&it)], Vec::new()).await
        });
        for changed in futures::future::join_all(changes).await {
            changed.unwrap();
        }
        let count = databases[0].count(Kind::Key, &Filter::default()).await.unwrap();
        assert_eq!(count, 4);
        let changed = databases[3].changed_since(Some(0)).await.unwrap();
        let revisions: Vec<_> = changed.iter().map(|it| it.revision).collect();
        assert_eq!(revisions, [1, 2, 3, 4]);
    });
}

#[test]
fn a_change_is_kept_with_who_made_it() {
    on_each(async |open| {
        let database = open();
        let it = key("sk-1", None, None);
        let audit = Audit {
            at: "2026-11-21T16:00:00Z".parse().unwrap(),
            by: "master".into(),
            key: None,
            action: "created".into(),
            kind: Kind::Key,
            id: it.token.to_string(),
            before: None,
            after: Some(serde_json::json!({"key_alias": null})),
        };
        database.change(vec![insert(&it)], vec![audit.clone()]).await.unwrap();
        let kept = database.audits(&AuditFilter::default()).await.unwrap();
        assert_eq!(kept, [audit]);
        let of_users = AuditFilter { kind: Some(Kind::User), ..AuditFilter::default() };
        assert!(database.audits(&of_users).await.unwrap().is_empty());
    });
}

#[test]
fn records_are_listed_in_the_order_that_is_asked_for() {
    on_each(async |open| {
        let database = open();
        let made = |name: &str, alias: Option<&str>, day: u8, budget: Option<f64>| {
            let key = serde_json::json!({
                "token": KeyHash::of(name.as_bytes()), "key_name": name, "key_alias": alias,
                "created_at": format!("2026-01-{day:02}T00:00:00Z"), "max_budget": budget,
            });
            serde_json::from_value::<Key>(key).unwrap()
        };
        let keys = [
            made("one", Some("b"), 3, Some(10.0)),
            made("two", Some("A"), 1, None),
            made("three", None, 2, Some(9.5)),
        ];
        database.change(keys.iter().map(insert).collect(), Vec::new()).await.unwrap();
        for (by, expected) in [
            (OrderBy::CreatedAt, ["two", "three", "one"]),
            (OrderBy::Alias, ["three", "two", "one"]),
            (OrderBy::MaxBudget, ["three", "one", "two"]),
        ] {
            for descending in [false, true] {
                let order = Order { by, descending };
                let filter = Filter { order, ..Filter::default() };
                let stored = database.list(Kind::Key, &filter).await.unwrap();
                let mut names: Vec<_> =
                    stored.iter().map(|it| it.record["key_name"].as_str().unwrap()).collect();
                if descending {
                    names.reverse();
                }
                assert_eq!(names, expected, "{order:?}");
                let second = Filter { skip: 1, limit: 1, ..filter };
                let stored = database.list(Kind::Key, &second).await.unwrap();
                assert_eq!(stored[0].record["key_name"], expected[1], "{order:?}");
            }
        }
    });
}

#[test]
fn no_credential_is_in_the_audit_log_whoever_writes_it() {
    on_each(async |open| {
        let database = open();
        let after = serde_json::json!({"token": "hash", "sealed": "v1:x", "key_alias": "ci",
            "metadata": {"x-api-key": "hush", "note": "sk-0123456789abcdefghijkl"}});
        let audit = Audit {
            at: jiff::Timestamp::now(),
            by: "import".into(),
            key: None,
            action: "created".into(),
            kind: Kind::Key,
            id: "id".into(),
            before: None,
            after: Some(after),
        };
        database.change(vec![insert(&key("sk-1", None, None))], vec![audit]).await.unwrap();
        let kept = database.audits(&AuditFilter::default()).await.unwrap();
        let expected = serde_json::json!({"key_alias": "ci",
            "metadata": {"x-api-key": "***", "note": "***"}});
        assert_eq!(kept[0].after, Some(expected));
    });
}

#[test]
fn a_record_that_a_database_has_no_place_for_is_refused_as_such() {
    let url = tollgate::secret::Secret::new(crate::harness::postgres::database());
    super::run(async {
        let place = tollgate::store::Place::Postgres { url, connections: 2 };
        let database = tollgate::store::Database::new(place);
        let odd = Team { team_id: "a\0b".into(), ..Team::default() };
        let change = vec![Change::Insert(Kind::Team, Entry::of(&odd).unwrap())];
        let refused = database.change(change, Vec::new()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
        assert_eq!(fetch::<Team>(&database, "a\0b").await.unwrap(), None, "nor is it asked for");
    });
}
