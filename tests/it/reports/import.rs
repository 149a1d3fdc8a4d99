//! Keys, users, teams, budgets and spend of a LiteLLM proxy, brought over.

use tollgate::keys::record::{EndUser, Key, KeyType, MemberRole, Tag, Team, User};
use tollgate::keys::{AuditFilter, Directory as _, KeyHash, Role, fetch};
use tollgate::secret::Secret;
use tollgate::spend::{Ledger as _, Scope, ScopeKind};
use tollgate::store::litellm::{Import, Litellm, Report, Tally, bring_over};
use tollgate::store::{Database, Place};

use crate::harness::gateway::TOLLGATE;
use crate::harness::*;

/// A database as a LiteLLM proxy leaves it, with three keys in it.
pub(super) fn litellm() -> String {
    let url = postgres::database();
    postgres::ask(&url, include_str!("litellm.sql"));
    let [ci, twin, session] = ["sk-ci-0123456789abcdef", "sk-twin", "sk-session"].map(hash);
    postgres::ask(
        &url,
        &format!(
            "INSERT INTO \"LiteLLM_VerificationToken\" (token, key_name, key_alias, spend, expires, models, \
             aliases, user_id, team_id, metadata, max_budget, budget_duration, rpm_limit, allowed_routes, \
             model_max_budget, budget_limits, model_spend) VALUES \
             ('{ci}', 'sk-...cdef', 'ci', 12.345678, '2030-01-02 03:04:05', '{{gpt,claude}}', \
              '{{\"mini\": \"gpt\"}}', 'bob', 'red', '{{\"tags\": [\"night\"], \"model_rpm_limit\": {{\"gpt\": 9}}}}', \
              25, '30d', 60, '{{llm_api_routes}}', \
              '{{\"gpt\": {{\"budget_limit\": 2.5, \"time_period\": \"1d\"}}, \"claude\": 7}}', \
              '[{{\"budget_duration\": \"1d\", \"max_budget\": 1}}]', '{{\"gpt\": 1.25}}'), \
             ('{twin}', 'sk-...', 'ci', 0, NULL, '{{}}', '{{}}', NULL, NULL, '{{}}', NULL, NULL, NULL, '{{}}', \
              '{{}}', NULL, '{{}}'), \
             ('{session}', 'sk-...', NULL, 1, NULL, '{{}}', '{{}}', 'ada', 'litellm-dashboard', '{{}}', NULL, \
              NULL, NULL, '{{}}', '{{}}', NULL, '{{}}')"
        ),
    );
    url
}

fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_string()
}

async fn import(url: &str, into: &Database, how: Import) -> Report {
    let from = Litellm::open(&Secret::new(url)).await.unwrap();
    bring_over(&from, into, how, jiff::Timestamp::now()).await.unwrap()
}

async fn spent(database: &Database, kind: ScopeKind, id: &str) -> f64 {
    let scope = Scope::new(kind, id);
    let ever = database.spent(&scope, None).await.unwrap();
    let hour = jiff::Timestamp::now().as_microsecond() - 3_600_000_000;
    assert_eq!(database.spent(&scope, Some(hour)).await.unwrap(), ever, "it is of this period");
    ever as f64 / 1e12
}

/// Runs a test with an empty database of each kind.
fn on_each(test: impl AsyncFn(Database, String)) {
    let folder = tempfile::tempdir().unwrap();
    let file = Place::File(folder.path().join("tollgate.db"));
    let url = Secret::new(postgres::database());
    for place in [file, Place::Postgres { url, connections: 4 }] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Database::new(place), litellm()));
    }
}

#[test]
fn what_litellm_keeps_is_kept_here_then() {
    on_each(async |database, url| {
        let report = import(&url, &database, Import::default()).await;
        let words: Vec<_> = report.tallies.iter().map(|(word, it)| (*word, it.new)).collect();
        let expected = [
            ("budgets", 2),
            ("organisations", 1),
            ("teams", 1),
            ("users", 3),
            ("keys", 2),
            ("customers", 1),
            ("tags", 1),
        ];
        assert_eq!(words, expected);

        let ci = fetch::<Key>(&database, &hash("sk-ci-0123456789abcdef")).await.unwrap().unwrap();
        assert_eq!(ci.key_name, "sk-...cdef");
        assert_eq!((ci.user_id.as_deref(), ci.team_id.as_deref()), (Some("bob"), Some("red")));
        assert_eq!(ci.models, ["gpt", "claude"]);
        assert_eq!(ci.aliases["mini"], "gpt");
        assert_eq!(ci.expires.unwrap().to_string(), "2030-01-02T03:04:05Z");
        assert_eq!((ci.allowance.max_budget, ci.allowance.rpm_limit), (Some(25.0), Some(60)));
        assert_eq!(ci.allowance.budget_duration.as_deref(), Some("30d"));
        assert_eq!((ci.key_type, ci.model_rpm_limit["gpt"]), (KeyType::LlmApi, 9));
        assert_eq!(ci.tags, ["night"]);
        let budgets = &ci.model_max_budget;
        assert_eq!((budgets["gpt"].budget_limit, budgets["claude"].budget_limit), (2.5, 7.0));
        let twin = fetch::<Key>(&database, &hash("sk-twin")).await.unwrap().unwrap();
        // Which of the two keeps the name is decided by the order of their hashes.
        assert!(ci.key_alias.is_some() != twin.key_alias.is_some());

        let red = fetch::<Team>(&database, "red").await.unwrap().unwrap();
        let members: Vec<_> = red.members.iter().map(|it| (it.user_id.as_str(), it.role)).collect();
        assert_eq!(members, [("ada", MemberRole::Admin), ("bob", MemberRole::User)]);
        assert_eq!(red.members[1].allowance.budget_id.as_deref(), Some("b-member"));
        assert_eq!(red.model_aliases["fast"], "gpt");
        assert_eq!(red.tags, ["lab"]);
        let ada = fetch::<User>(&database, "ada").await.unwrap().unwrap();
        assert_eq!(
            (ada.user_role, ada.user_email.as_deref()),
            (Role::ProxyAdmin, Some("ada@example.com"))
        );
        assert_eq!(ada.organization_id.as_deref(), Some("org-1"), "by the table of memberships");
        let bob = fetch::<User>(&database, "bob").await.unwrap().unwrap();
        assert_eq!(
            (bob.user_role, bob.organization_id.as_deref()),
            (Role::OrgAdmin, Some("org-1"))
        );
        let rob = fetch::<User>(&database, "rob").await.unwrap().unwrap();
        assert_eq!((rob.user_role, rob.user_email), (Role::InternalUserViewer, None));
        assert!(fetch::<EndUser>(&database, "eve").await.unwrap().unwrap().blocked);
        let lab = fetch::<Tag>(&database, "lab").await.unwrap().unwrap();
        assert_eq!(lab.allowance.budget_id.as_deref(), Some("b-member"));

        let of_model = format!("{}/gpt", hash("sk-ci-0123456789abcdef"));
        for (kind, id, dollars) in [
            (ScopeKind::KeyModel, &*of_model, 1.25),
            (ScopeKind::Key, &*hash("sk-ci-0123456789abcdef"), 12.345_678),
            (ScopeKind::Team, "red", 20.25),
            (ScopeKind::TeamMember, "red/bob", 2.5),
            (ScopeKind::User, "bob", 2.5),
            (ScopeKind::Organisation, "org-1", 120.5),
            (ScopeKind::EndUser, "eve", 0.75),
            (ScopeKind::Tag, "lab", 4.0),
            (ScopeKind::Proxy, "", 150.0),
        ] {
            assert_eq!(spent(&database, kind, id).await, dollars, "{kind:?} {id}");
        }

        let found: Vec<&str> = report.findings.keys().map(String::as_str).collect();
        for part in [
            "budget_limits",
            "dashboard",
            "router settings",
            "role",
            "key_alias",
            "model of",
            "a further organisation",
            "a budget of a member of an organisation",
            "what a member has spent for an organisation",
        ] {
            assert!(found.iter().any(|finding| finding.contains(part)), "{part}: {found:?}");
        }
        let audits = database.audits(&AuditFilter::default()).await.unwrap();
        assert_eq!(audits.len(), 11, "every record is in the audit log");
    });
}

#[test]
fn a_second_run_changes_nothing_and_doubles_nothing() {
    on_each(async |database, url| {
        import(&url, &database, Import::default()).await;
        let revision = database.changed_since(None).await.unwrap();
        let again = import(&url, &database, Import { overwrite: true, ..Import::default() }).await;
        assert!(again.is_unchanged(), "{again:?}");
        assert_eq!(database.changed_since(None).await.unwrap(), revision);
        assert_eq!(spent(&database, ScopeKind::Team, "red").await, 20.25);

        // LiteLLM goes on meanwhile: what it has counted since is added, once.
        let more = |spend: f64| {
            let set = format!("UPDATE \"LiteLLM_TeamTable\" SET spend = {spend}, max_budget = 200");
            postgres::ask(&url, &set);
        };
        more(21.0);
        for left in [1, 1] {
            let report = import(&url, &database, Import::default()).await;
            assert_eq!(
                report.tallies[2].1.left, left,
                "a record that is here is not changed unasked"
            );
            assert_eq!(spent(&database, ScopeKind::Team, "red").await, 21.0);
        }
        let report = import(&url, &database, Import { overwrite: true, ..Import::default() }).await;
        assert_eq!(report.tallies[2].1, Tally { found: 1, replaced: 1, ..Tally::default() });
        let red = fetch::<Team>(&database, "red").await.unwrap().unwrap();
        assert_eq!(red.allowance.max_budget, Some(200.0));
        // Its budget began anew: what is spent of the new one is added to what was spent of the old.
        more(0.5);
        import(&url, &database, Import::default()).await;
        import(&url, &database, Import::default()).await;
        assert_eq!(spent(&database, ScopeKind::Team, "red").await, 21.5);
    });
}

/// A gateway counts from what it knows; an import tells it that the sums are others now.
#[test]
fn a_gateway_that_runs_hears_of_what_was_brought_over() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let url = litellm();
    postgres::ask(
        &url,
        "UPDATE \"LiteLLM_VerificationToken\" SET team_id = NULL, user_id = NULL, rpm_limit = NULL, \
         metadata = '{}', model_max_budget = '{}' WHERE key_alias = 'ci'",
    );
    for place in [None, Some(postgres::database())] {
        let mut builder = gateway::with(group("gpt").deployment(openai(&upstream)));
        if let Some(place) = &place {
            builder = builder.general(&format!("database_url: {place}"));
        }
        let gateway = builder.master_key(super::MASTER).start();
        let bring = || {
            let mut command = std::process::Command::new(TOLLGATE);
            command.env_clear().env("STATE_DIRECTORY", gateway.folder().join("state"));
            command.args(["import", "litellm", "--database-url", &url, "--config"]);
            let output = command.arg(gateway.config_path()).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{told}");
        };
        let spend = |dollars: f64| {
            let set = format!(
                "UPDATE \"LiteLLM_VerificationToken\" SET spend = {dollars} WHERE max_budget = 25"
            );
            postgres::ask(&url, &set);
        };
        spend(12.0);
        bring();
        let client = gateway.client().with_key(Some("sk-ci-0123456789abcdef"));
        eventually("the key opens", || client.chat("gpt", "hi").status == 200);
        spend(26.0);
        bring();
        eventually("its budget is spent", || {
            let reply = client.chat("gpt", "hi");
            reply.status != 200 && reply.body_text().contains("udget")
        });
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::new(Place::File(file.clone()));
        let how = Import { dry_run: true, ..Import::default() };
        let report = import(&litellm(), &database, how).await;
        assert_eq!(report.tallies[4].1.new, 2);
        assert_eq!(report.spend[&ScopeKind::Organisation], 120_500_000_000_000);
        assert!(!file.exists());
    });
}

#[test]
fn older_schemas_are_read_and_other_databases_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = postgres::database();
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(Place::File(folder.path().join("tollgate.db")));
        let from = Litellm::open(&Secret::new(url.clone())).await.unwrap();
        let now = jiff::Timestamp::now();
        let refused = bring_over(&from, &database, Import::default(), now).await.unwrap_err();
        assert!(refused.to_string().contains("LiteLLM_VerificationToken"), "{refused}");

        let token = hash("sk-old");
        postgres::ask(
            &url,
            &format!(
                "CREATE TABLE \"LiteLLM_VerificationToken\" (token TEXT PRIMARY KEY, spend DOUBLE PRECISION, \
                 models TEXT[]); INSERT INTO \"LiteLLM_VerificationToken\" VALUES ('{token}', 1.5, '{{gpt}}')"
            ),
        );
        let report = bring_over(&from, &database, Import::default(), now).await.unwrap();
        assert_eq!(report.tallies[4].1.new, 1, "{report:?}");
        assert_eq!(spent(&database, ScopeKind::Key, &token).await, 1.5);
    });
}

#[test]
fn the_command_says_what_it_did_and_shows_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let url = litellm();
    let command = |arguments: &[&str]| {
        let mut command = std::process::Command::new(TOLLGATE);
        command.env_clear().env("STATE_DIRECTORY", folder.path());
        command.args(["import", "litellm", "--database-url", &url]).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let dry = command(&["--dry-run"]);
    assert!(dry.contains("A dry run: nothing was written."), "{dry}");
    assert!(!folder.path().join("tollgate.db").exists());
    let done = command(&[]);
    for part in
        ["keys", "spend of teams: 20.250000 US dollars added", "Not as it was in LiteLLM", "Done."]
    {
        assert!(done.contains(part), "{part}: {done}");
    }
    let again = command(&[]);
    assert!(again.contains("nothing is changed"), "{again}");
    for text in [dry, done, again] {
        assert!(
            !text.contains(&hash("sk-ci-0123456789abcdef")) && !text.contains("sk-ci"),
            "{text}"
        );
    }
    let wrong = "postgresql://u:hunter2@127.0.0.1:1/none";
    let mut command = std::process::Command::new(TOLLGATE);
    command.env_clear().env("STATE_DIRECTORY", folder.path());
    let output = command.args(["import", "litellm", "--database-url", wrong]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("LiteLLM's database") && !told.contains("hunter2"), "{told}");
}
