use serde_json::{Value, json};

use super::*;
use crate::keys::Role;
use crate::keys::directory::{Change, Entry};
use crate::keys::sample::{Records, key};

const KEY: &str = "sk-1";

fn hash() -> KeyHash {
    KeyHash::of(KEY.as_bytes())
}

/// A ring over records, and a clock that the test moves.
struct Bench {
    records: Arc<Records>,
    ring: KeyRing,
    settings: Arc<Settings>,
    now: Instant,
}

impl Bench {
    async fn new(key: Option<Value>) -> Self {
        let records = Arc::new(Records::default());
        key.iter().for_each(|key| records.put(key));
        let ring = KeyRing::new(Arc::<Records>::clone(&records), 100);
        let bench = Self { records, ring, settings: Arc::default(), now: Instant::now() };
        bench.ring.catch_up(bench.now).await.unwrap();
        bench
    }

    async fn find(&self) -> Result<Option<Arc<Principal>>, StoreError> {
        self.ring.find(hash(), &self.settings, self.now).await
    }

    async fn found(&self) -> Arc<Principal> {
        self.find().await.unwrap().unwrap()
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// How often the directory is asked meanwhile.
    async fn asks(&self) -> u64 {
        let before = self.records.asked();
        drop(self.find().await);
        self.records.asked() - before
    }
}

#[tokio::test]
async fn a_key_is_looked_up_once_with_all_that_belongs_to_it() {
    let more = json!({"user_id": "u", "team_id": "t", "budget_id": "b"});
    let bench = Bench::new(Some(key(KEY, &more))).await;
    let (records, team) = (
        &bench.records,
        json!({"team_id": "t", "organization_id": "o",
        "members_with_roles": [{"user_id": "u", "role": "admin"}, {"user_id": "other"}]}),
    );
    records.set(Kind::Team, "t", Some(team));
    records.set(Kind::User, "u", Some(json!({"user_id": "u", "user_role": "org_admin"})));
    records.set(Kind::Organisation, "o", Some(json!({"organization_id": "o"})));
    records.set(Kind::Budget, "b", Some(json!({"budget_id": "b", "max_budget": 3.0})));

    let found = bench.found().await;

    let user = found.user.as_ref().unwrap();
    assert_eq!(
        (user.user_role, found.role()),
        (Role::OrgAdmin, Role::InternalUser),
        "a key of a team"
    );
    assert_eq!(found.organisation.as_ref().unwrap().organization_id, "o");
    assert_eq!(found.key.allowance.max_budget, Some(3.0));
    assert_eq!(found.member().unwrap().user_id, "u");
    assert_eq!(found.team.as_ref().unwrap().members.len(), 1, "others' are not kept");
    assert_eq!(bench.asks().await, 0);
    let stats = bench.ring.stats();
    assert_eq!((stats.hits, stats.misses), (1, 1));
}

#[tokio::test]
async fn all_who_ask_at_once_wait_for_one_lookup() {
    let bench = Bench::new(Some(key(KEY, &json!({})))).await;
    let all = futures::future::join_all((0..50).map(|_| bench.find())).await;
    assert!(all.into_iter().all(|found| found.unwrap().is_some()));
    assert_eq!(bench.records.asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_remembered_for_a_short_time() {
    let mut bench = Bench::new(None).await;
    assert_eq!(bench.find().await.unwrap(), None);
    assert_eq!(bench.asks().await, 0);
    bench.later(6);
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.asks().await, 1);
}

#[tokio::test]
async fn a_key_is_looked_up_again_when_it_is_old() {
    let mut bench = Bench::new(Some(key(KEY, &json!({})))).await;
    bench.found().await;
    bench.later(59);
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.asks().await, 0);
    bench.later(2);
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.asks().await, 1);
}

#[tokio::test]
async fn a_change_of_whatever_belongs_to_a_key_is_heard_of() {
    let more = json!({"user_id": "u", "team_id": "t", "budget_id": "b", "organization_id": "o"});
    let bench = Bench::new(Some(key(KEY, &more))).await;
    let of_key = bench.found().await.hash().to_string();
    for (kind, id, changed) in [
        (Kind::Key, &*of_key, true),
        (Kind::User, "u", true),
        (Kind::Team, "t", true),
        (Kind::Organisation, "o", true),
        (Kind::Budget, "b", true),
        (Kind::User, "t", false),
        (Kind::Team, "other", false),
        (Kind::Model, "m", false),
    ] {
        let record = (kind == Kind::Key).then(|| key(KEY, &more));
        bench.records.set(kind, id, record);
        assert_eq!(bench.asks().await, 0, "{kind:?} {id}: nobody has said so yet");
        bench.ring.catch_up(bench.now).await.unwrap();
        assert_eq!(bench.asks().await > 0, changed, "{kind:?} {id}");
    }
}

#[tokio::test]
async fn a_key_made_elsewhere_is_known_as_soon_as_it_is_heard_of() {
    let bench = Bench::new(None).await;
    assert_eq!(bench.find().await.unwrap(), None);
    bench.records.set(Kind::Key, &hash().to_string(), Some(key(KEY, &json!({}))));
    bench.ring.catch_up(bench.now).await.unwrap();
    assert!(bench.find().await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_changed_through_the_ring_is_obeyed_at_once() {
    let bench = Bench::new(Some(key(KEY, &json!({})))).await;
    let mut changed = bench.found().await.key.clone();
    changed.blocked = true;
    let put = Change::Put(Kind::Key, Entry::of(&changed).unwrap());
    bench.ring.change(vec![put], Vec::new()).await.unwrap();
    assert!(bench.found().await.key.blocked);
    let delete = Change::Delete(Kind::Key, hash().to_string());
    bench.ring.change(vec![delete], Vec::new()).await.unwrap();
    assert_eq!(bench.find().await.unwrap(), None);
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    let bench = Bench::new(Some(key(KEY, &json!({})))).await;
    let looking = bench.find();
    let mut looking = std::pin::pin!(looking);
    // It waits for the directory, which has not read yet or has: either is possible.
    assert!(futures::poll!(&mut looking).is_pending());
    let id = hash().to_string();
    bench.ring.forget([(Kind::Key, &*id)].into_iter()).await;
    drop(looking.await);
    assert_eq!(bench.asks().await, 1, "asked again");
}

#[tokio::test]
async fn known_keys_are_let_in_while_the_directory_is_away_and_not_for_ever() {
    let mut bench = Bench::new(Some(key(KEY, &json!({})))).await;
    bench.found().await;
    bench.records.go_away();
    bench.later(61);
    assert!(bench.ring.catch_up(bench.now).await.is_err());
    assert_eq!(bench.asks().await, 0, "it is known to be away");
    assert!(bench.find().await.unwrap().is_some());
    bench.later(600);
    assert!(matches!(bench.find().await, Err(StoreError::Unavailable(_))));
    bench.records.come_back();
    bench.later(2);
    assert!(bench.find().await.unwrap().is_some());
}

#[tokio::test]
async fn a_lookup_that_fails_is_not_repeated_by_everybody() {
    let mut bench = Bench::new(None).await;
    bench.records.go_away();
    assert!(bench.find().await.is_err());
    assert_eq!(bench.asks().await, 0);
    assert!(bench.find().await.is_err());
    bench.later(2);
    assert_eq!(bench.asks().await, 1);
    assert_eq!(bench.ring.stats().failures, 2);
}

#[tokio::test]
async fn a_directory_that_hangs_is_not_waited_for() {
    let bench = Bench::new(None).await;
    bench.records.hang();
    let began = Instant::now();
    assert!(matches!(bench.find().await, Err(StoreError::Unavailable(_))));
    assert!(began.elapsed() < 2 * LOOKUP_MAX);
    assert_eq!(bench.asks().await, 0, "for a second nobody waits again");
}

#[tokio::test]
async fn nobody_waits_again_for_a_directory_that_hung() {
    let mut bench = Bench::new(None).await;
    bench.records.hang();
    let mut name = 0_u32;
    // As long as a request waits, time passes.
    let mut stranger = async |bench: &mut Bench| {
        name += 1;
        let began = Instant::now();
        let hash = KeyHash::of(format!("sk-{name}").as_bytes());
        let found = bench.ring.find(hash, &bench.settings, bench.now).await;
        assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
        bench.now += began.elapsed();
        began.elapsed()
    };
    for _ in 0..3 {
        assert!(stranger(&mut bench).await >= LOOKUP_MAX - Duration::from_millis(50));
    }
    let asked = bench.records.asked();
    for _ in 0..20 {
        stranger(&mut bench).await;
    }
    assert_eq!(bench.records.asked(), asked, "all of them at once");
    bench.later(1);
    assert!(stranger(&mut bench).await < LOOKUP_MAX, "one that looks again is not kept for long");
    assert_eq!(bench.records.asked(), asked + 1);
}

#[tokio::test]
async fn missed_changes_and_an_older_copy_forget_everything() {
    let mut bench = Bench::new(Some(key(KEY, &json!({})))).await;
    bench.found().await;
    for id in ["a", "b", "c"] {
        bench.records.set(Kind::Model, id, None);
    }
    bench.records.forget_changes();
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.asks().await, 1);

    bench.records.go_away();
    assert!(bench.ring.catch_up(bench.now).await.is_err());
    bench.records.come_back();
    bench.records.forget_changes();
    bench.later(1);
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.asks().await, 0, "nothing was missed");
}

#[tokio::test]
async fn users_without_a_budget_have_the_default_one() {
    let mut bench = Bench::new(Some(key(KEY, &json!({"user_id": "u"})))).await;
    let user_defaults = Allowance {
        max_budget: Some(100.0),
        budget_duration: Some("monthly".into()),
        ..Allowance::default()
    };
    bench.found().await;
    bench.settings = Arc::new(Settings { user_defaults, ..Settings::default() });
    let of_user = async |bench: &Bench| bench.found().await.user.clone().unwrap().allowance;
    assert_eq!(of_user(&bench).await.max_budget, Some(100.0), "nobody has made a record");
    for (record, expected) in [
        (json!({"user_id": "u"}), Some(100.0)),
        (json!({"user_id": "u", "max_budget": 5.0}), Some(5.0)),
        (json!({"user_id": "u", "user_role": "proxy_admin"}), None),
    ] {
        bench.records.set(Kind::User, "u", Some(record.clone()));
        bench.ring.catch_up(bench.now).await.unwrap();
        assert_eq!(of_user(&bench).await.max_budget, expected, "{record}");
    }
}

#[tokio::test]
async fn end_users_are_asked_for_only_where_there_are_any() {
    let bench = Bench::new(None).await;
    let (ring, records) = (&bench.ring, &bench.records);
    let find = async |id: &str| ring.end_user(id, &bench.settings, bench.now).await.unwrap();
    assert!(find("a").await.is_none());
    assert_eq!(records.asked(), 1, "whether there are any");
    assert!(find("b").await.is_none());
    assert_eq!(records.asked(), 1);

    let shared = json!({"budget_id": "shared", "max_budget": 2.0});
    records.set(Kind::Budget, "shared", Some(shared));
    records.set(Kind::EndUser, "a", Some(json!({"user_id": "a", "budget_id": "shared"})));
    ring.catch_up(bench.now).await.unwrap();
    assert_eq!(find("a").await.unwrap().allowance.max_budget, Some(2.0));
    let asked = records.asked();
    assert!(find("a").await.is_some());
    assert_eq!(records.asked(), asked);

    let shared = json!({"budget_id": "shared", "max_budget": 7.0});
    records.set(Kind::Budget, "shared", Some(shared));
    ring.catch_up(bench.now).await.unwrap();
    assert_eq!(find("a").await.unwrap().allowance.max_budget, Some(7.0));
}

#[tokio::test]
async fn the_ring_has_a_bound() {
    let records = Arc::new(Records::default());
    let ring = KeyRing::new(records, 10);
    let (settings, now) = (Arc::default(), Instant::now());
    for number in 0..1_000 {
        let hash = KeyHash::of(format!("sk-{number}").as_bytes());
        ring.find(hash, &settings, now).await.unwrap();
    }
    ring.keys.run_pending_tasks().await;
    assert!(ring.stats().size <= 10, "{:?}", ring.stats());
}

#[tokio::test]
async fn a_directory_that_failed_three_times_is_left_alone_for_a_second() {
    let mut bench = Bench::new(Some(key(KEY, &json!({})))).await;
    bench.records.go_away();
    let stranger = |name: &str| KeyHash::of(name.as_bytes());
    for name in ["sk-a", "sk-b", "sk-c"] {
        let found = bench.ring.find(stranger(name), &bench.settings, bench.now).await;
        assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    }
    let asked = bench.records.asked();
    let found = bench.ring.find(stranger("sk-d"), &bench.settings, bench.now).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    assert_eq!(bench.records.asked(), asked, "nobody waits for what does not come");
    bench.records.come_back();
    bench.later(2);
    assert!(bench.find().await.unwrap().is_some());
    let found = bench.ring.find(stranger("sk-e"), &bench.settings, bench.now).await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn a_directory_that_has_been_silent_is_asked_once_a_second() {
    let mut bench = Bench::new(None).await;
    bench.records.go_away();
    bench.later(SILENCE_MAX.as_secs() + 1);
    assert!(bench.find().await.is_err());
    let asked = bench.records.asked();
    let stranger = KeyHash::of(b"sk-a");
    assert!(bench.ring.find(stranger, &bench.settings, bench.now).await.is_err());
    assert_eq!(bench.records.asked(), asked);
    bench.records.come_back();
    bench.later(2);
    assert_eq!(bench.find().await.unwrap(), None);
}

#[tokio::test]
async fn a_replaced_key_is_the_one_in_its_place_until_it_ends() {
    let next = KeyHash::of(b"sk-2");
    let end = "2030-01-01T00:00:00Z";
    let stays = json!({"replaced_by": next, "expires": end});
    let bench = Bench::new(Some(key(KEY, &stays))).await;
    let current = json!({"account": hash(), "models": ["a"], "expires": "2040-01-01T00:00:00Z"});
    bench.records.put(&key("sk-2", &current));
    let found = bench.found().await;
    assert_eq!((found.key.token, found.key.models.as_slice()), (next, &["a".to_owned()][..]));
    assert_eq!(found.key.expires.map(|end| end.to_string()).as_deref(), Some(end));
    assert_eq!(**found.account(), hash().to_string());
    bench.records.set(Kind::Key, &next.to_string(), Some(key("sk-2", &json!({"blocked": true}))));
    bench.ring.catch_up(bench.now).await.unwrap();
    assert!(bench.found().await.key.blocked, "what becomes of the new one is heard of");
    bench.records.set(Kind::Key, &next.to_string(), None);
    bench.ring.catch_up(bench.now).await.unwrap();
    assert_eq!(bench.find().await.unwrap(), None);
}

#[tokio::test]
async fn keys_that_replace_each_other_in_a_ring_are_nobodys() {
    let bench = Bench::new(Some(key(KEY, &json!({"replaced_by": KeyHash::of(b"sk-2")})))).await;
    bench.records.put(&key("sk-2", &json!({"replaced_by": hash()})));
    assert_eq!(bench.find().await.unwrap(), None);
}

#[tokio::test]
async fn a_key_of_the_file_has_what_belongs_to_it_as_far_as_that_is_known() {
    let mut bench = Bench::new(None).await;
    let written = crate::keys::sample::principal("of-file", &json!({"team_id": "t"})).of_file();
    let written = Arc::new(written);
    bench.records.go_away();
    let joined = bench.ring.of_file(&written, &bench.settings, bench.now).await;
    assert!(joined.team.is_none(), "it needs no directory");
    bench.records.come_back();
    bench.records.set(Kind::Team, "t", Some(json!({"team_id": "t", "blocked": true})));
    bench.ring.catch_up(bench.now).await.unwrap();
    bench.later(2);
    let joined = bench.ring.of_file(&written, &bench.settings, bench.now).await;
    assert!(joined.team.as_ref().is_some_and(|team| team.blocked));
    assert_eq!(joined.user_role(), None);
    bench.records.set(Kind::Team, "t", Some(json!({"team_id": "t"})));
    bench.ring.catch_up(bench.now).await.unwrap();
    let joined = bench.ring.of_file(&written, &bench.settings, bench.now).await;
    assert!(joined.team.as_ref().is_some_and(|team| !team.blocked), "a change is heard of");
    bench.records.go_away();
    bench.later(120);
    let joined = bench.ring.of_file(&written, &bench.settings, bench.now).await;
    assert!(joined.team.is_some(), "what was known stands");
    let again = Arc::new(Principal::clone(&written));
    let anew = bench.ring.of_file(&again, &bench.settings, bench.now).await;
    assert!(anew.team.is_none(), "another file, another key: {anew:?}");
}
