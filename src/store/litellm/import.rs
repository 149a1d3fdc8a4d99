//! Writes what LiteLLM has into the directory and into the sums, so that a second run changes
//! nothing.
//!
//! A record that is there already is left alone, unless it is asked to be replaced: it may have been
//! changed here since. Of a sum that is kept what was brought over (a row of its own among the sums),
//! so only what LiteLLM has counted since is added.

use std::collections::{BTreeMap, HashSet};

use futures::StreamExt as _;
use jiff::Timestamp;
use sqlx::Row as _;

use super::records::{self, Beside, Brought};
use super::report::{Report, Tally};
use super::row::Row;
use super::{Litellm, Table};
use crate::keys::record::Kind;
use crate::keys::{Audit, Change, Directory as _, Entry, StoreError, Stored};
use crate::money::Usd;
use crate::spend::Scope;
use crate::store::{Database, corrections, failed, ledger, patiently};

/// Rows that are written in one transaction.
const AT_ONCE: usize = 200;
/// Whom the audit log names.
const BY: &str = "import litellm";

const BUDGETS: Table = Table { name: "LiteLLM_BudgetTable", order: "budget_id" };
const ORGANISATIONS: Table = Table { name: "LiteLLM_OrganizationTable", order: "organization_id" };
const TEAMS: Table = Table { name: "LiteLLM_TeamTable", order: "team_id" };
const MEMBERS: Table = Table { name: "LiteLLM_TeamMembership", order: "team_id, user_id" };
const BELONGS: Table =
    Table { name: "LiteLLM_OrganizationMembership", order: "user_id, organization_id" };
const ALIASES: Table = Table { name: "LiteLLM_ModelTable", order: "id" };
const USERS: Table = Table { name: "LiteLLM_UserTable", order: "user_id" };
const KEYS: Table = Table { name: "LiteLLM_VerificationToken", order: "token" };
const CUSTOMERS: Table = Table { name: "LiteLLM_EndUserTable", order: "user_id" };
const TAGS: Table = Table { name: "LiteLLM_TagTable", order: "tag_name" };
const MODELS: Table = Table { name: "LiteLLM_ProxyModelTable", order: "model_id" };
const PROJECTS: Table = Table { name: "LiteLLM_ProjectTable", order: "project_id" };

/// How to bring over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Import {
    /// Writes nothing, and says what would become of it.
    pub dry_run: bool,
    /// Records that are there already become as LiteLLM has them.
    pub overwrite: bool,
}

/// Brings everything over. Broken off at any point, it can be run again.
///
/// # Errors
/// If one of the databases fails, or there is nothing of LiteLLM's in the first.
pub async fn bring_over(
    from: &Litellm,
    into: &Database,
    how: Import,
    now: Timestamp,
) -> Result<Report, StoreError> {
    if !from.has(KEYS).await? {
        return Err(StoreError::Broken(format!(
            "{} is no database of LiteLLM's: it has no table {}",
            from.place(),
            KEYS.name
        )));
    }
    let mut run = Run { from, into, how, now, report: Report::default() };
    let beside = run.beside().await?;
    run.bring("budgets", Kind::Budget, BUDGETS, records::budget).await?;
    run.bring("organisations", Kind::Organisation, ORGANISATIONS, records::organisation).await?;
    run.bring("teams", Kind::Team, TEAMS, |row| records::team(row, &beside)).await?;
    run.bring("users", Kind::User, USERS, |row| records::user(row, &beside)).await?;
    run.bring("keys", Kind::Key, KEYS, records::key).await?;
    run.bring("customers", Kind::EndUser, CUSTOMERS, records::customer).await?;
    run.bring("tags", Kind::Tag, TAGS, records::tag).await?;
    for (table, what) in [
        (MODELS, "a model of LiteLLM's database: add it to model_list or by POST /model/new"),
        (PROJECTS, "a project: Tollgate has none"),
    ] {
        let mut rows = from.rows(table).await?;
        while let Some(row) = rows.next().await {
            let row = row?;
            let name = row.text("model_name").or_else(|| row.text("project_alias"));
            run.report.find(what, &name.unwrap_or_default());
        }
    }
    Ok(run.report)
}

struct Run<'a> {
    from: &'a Litellm,
    into: &'a Database,
    how: Import,
    now: Timestamp,
    report: Report,
}

impl Run<'_> {
    async fn beside(&self) -> Result<Beside, StoreError> {
        let mut beside = Beside::default();
        let mut rows = self.from.rows(MEMBERS).await?;
        while let Some(row) = rows.next().await {
            let row = row?;
            let (Some(team), Some(user)) = (row.text("team_id"), row.text("user_id")) else {
                continue;
            };
            let spend = row.float("spend").unwrap_or_default();
            beside.members.entry(team).or_default().push((user, row.text("budget_id"), spend));
        }
        let mut rows = self.from.rows(BELONGS).await?;
        while let Some(row) = rows.next().await {
            let row = row?;
            if let (Some(user), Some(organisation)) =
                (row.text("user_id"), row.text("organization_id"))
            {
                beside.organisations.entry(user).or_default().push((organisation, row));
            }
        }
        let mut rows = self.from.rows(ALIASES).await?;
        while let Some(row) = rows.next().await {
            let row = row?;
            let aliases = row.json("aliases").or_else(|| row.json("model_aliases"));
            let aliases = aliases.and_then(|aliases| serde_json::from_value(aliases).ok());
            if let (Some(id), Some(aliases)) = (row.whole("id"), aliases) {
                beside.aliases.insert(id, aliases);
            }
        }
        Ok(beside)
    }

    async fn bring(
        &mut self,
        word: &'static str,
        kind: Kind,
        table: Table,
        brought: impl Fn(&Row) -> Result<Brought, StoreError>,
    ) -> Result<(), StoreError> {
        let mut tally = Tally::default();
        // An alias belongs to one; which of two keeps it must not change from run to run.
        let mut aliases = HashSet::new();
        let mut rows = self.from.rows(table).await?.chunks(AT_ONCE);
        while let Some(batch) = rows.next().await {
            let (mut entries, mut spend) = (Vec::new(), BTreeMap::<Scope, i64>::new());
            for row in batch {
                let row = brought(&row?)?;
                tally.found += 1;
                for what in &row.findings {
                    self.report.find(format!("{word}: {what}"), &row.name);
                }
                for (scope, dollars) in row.spend {
                    match pico(dollars) {
                        Some(pico) => *spend.entry(scope).or_default() += pico,
                        None => {
                            self.report.find(format!("{word}: spend that is no amount"), &row.name)
                        }
                    }
                }
                match row.entry {
                    None => tally.skipped += 1,
                    Some(entry) => entries.push((entry, row.name)),
                }
            }
            for (entry, name) in &mut entries {
                let unique = matches!(kind, Kind::Key | Kind::User);
                let taken = unique && entry.alias.iter().any(|it| !aliases.insert(it.clone()));
                if taken {
                    self.nameless(word, kind, entry, name);
                }
            }
            self.write(word, kind, entries, &mut tally).await?;
            let spend: Vec<_> = spend.into_iter().collect();
            for (scope, added) in self.add(&spend).await? {
                *self.report.spend.entry(scope.kind).or_default() += added;
            }
        }
        self.report.tallies.push((word, tally));
        Ok(())
    }

    /// Takes the alias away that another has.
    fn nameless(&mut self, word: &str, kind: Kind, entry: &mut Entry, name: &str) {
        let field = if kind == Kind::Key { "key_alias" } else { "user_email" };
        entry.alias = None;
        entry.record[field] = serde_json::Value::Null;
        self.report
            .find(format!("{word}: brought over without its {field}, which another has"), name);
    }

    async fn write(
        &mut self,
        word: &str,
        kind: Kind,
        entries: Vec<(Entry, String)>,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for (mut entry, name) in entries {
            let before = self.into.get(kind, &entry.id).await?;
            if before.is_none() && self.is_taken(kind, &entry).await? {
                self.nameless(word, kind, &mut entry, &name);
            }
            match &before {
                None => tally.new += 1,
                Some(before) if before.record == entry.record => {
                    tally.same += 1;
                    continue;
                }
                Some(_) if self.how.overwrite => tally.replaced += 1,
                Some(_) => {
                    tally.left += 1;
                    continue;
                }
            }
            changes.push((entry, before));
        }
        if self.how.dry_run || changes.is_empty() {
            return Ok(());
        }
        let audits = changes.iter().map(|(entry, before)| self.audit(kind, entry, before.as_ref()));
        let audits = audits.collect();
        let changes = changes.into_iter().map(|(entry, _)| Change::Put(kind, entry)).collect();
        self.into.change(changes, audits).await
    }

    /// Whether somebody who was here before has this alias.
    async fn is_taken(&self, kind: Kind, entry: &Entry) -> Result<bool, StoreError> {
        let Some(alias) = entry.alias.clone() else { return Ok(false) };
        if !matches!(kind, Kind::Key | Kind::User) {
            return Ok(false);
        }
        let filter = crate::keys::Filter { alias: Some(alias), ..Default::default() };
        let others = self.into.list(kind, &filter).await?;
        Ok(others.iter().any(|other| other.id != entry.id))
    }

    fn audit(&self, kind: Kind, entry: &Entry, before: Option<&Stored>) -> Audit {
        Audit {
            at: self.now,
            by: BY.to_owned(),
            key: None,
            action: if before.is_none() { "created" } else { "updated" }.into(),
            kind,
            id: entry.id.clone(),
            before: before.map(|before| before.record.clone()),
            after: Some(entry.record.clone()),
        }
    }

    /// Adds what is not in the sums yet, and says how much that was.
    async fn add(&self, spend: &[(Scope, i64)]) -> Result<Vec<(Scope, i64)>, StoreError> {
        if spend.is_empty() {
            return Ok(Vec::new());
        }
        if self.how.dry_run && !self.into.is_made() {
            return Ok(spend.to_vec());
        }
        patiently(async {
            let (mut transaction, _turn) = self.into.write().await?;
            let mut added = Vec::with_capacity(spend.len());
            let mut sums = BTreeMap::new();
            for (scope, pico) in spend {
                let kind = format!("litellm:{}", scope.kind.word());
                let row = sqlx::query(
                    "SELECT pico FROM tollgate_spend_sums \
                     WHERE scope = $1 AND id = $2 AND quarter = -1",
                )
                .bind(kind.clone())
                .bind(scope.id.to_string())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(|error| failed(&error))?;
                let known: Option<i64> =
                    row.map(|row| row.try_get(0)).transpose().map_err(|error| failed(&error))?;
                let known = known.unwrap_or_default();
                // LiteLLM begins at zero with each period of a budget. Less than before is then all
                // new; what was brought over stays where it was counted.
                let new = if *pico >= known { pico - known } else { *pico };
                added.push((scope.clone(), new));
                let id = scope.id.to_string();
                let quarter = self.now.as_microsecond().div_euclid(ledger::QUARTER_US);
                for quarter in [ledger::EVER, quarter] {
                    sums.insert((scope.kind.word().to_owned(), id.clone(), quarter), new);
                }
                sums.insert((kind, id, ledger::EVER), pico - known);
            }
            let sums: Vec<_> = sums.into_iter().filter(|(_, pico)| *pico != 0).collect();
            if self.how.dry_run || sums.is_empty() {
                // Dropped, the transaction is taken back.
                return Ok(added);
            }
            let changed = added.iter().filter(|(_, pico)| *pico != 0);
            let changed: Vec<_> = changed.cloned().collect();
            corrections::note(&mut transaction, self.now.as_microsecond(), &changed).await?;
            ledger::upsert_sums(&mut transaction, &sums).await?;
            transaction.commit().await.map_err(|error| failed(&error))?;
            Ok(added)
        })
        .await
    }
}

/// Pico-dollars; `None` if it is no amount that can have been spent. LiteLLM's sums are floating
/// point numbers, and may be a hair below zero.
fn pico(dollars: f64) -> Option<i64> {
    let dollars = if (-1e-6..0.0).contains(&dollars) { 0.0 } else { dollars };
    i64::try_from(Usd::from_dollars(dollars)?.pico()).ok()
}
