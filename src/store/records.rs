//! The directory of keys, users, teams and the rest.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use uuid::Uuid;

use super::{Database, Place, failed, patiently, values};
use crate::keys::record::Kind;
use crate::keys::{
    Audit, AuditFilter, Change, Changed, Directory, Entry, Filter, Order, OrderBy, StoreError,
    Stored, redacted,
};

/// Changes that gateways may hear of; older ones are dropped.
const CHANGES_KEPT: i64 = 100_000;
/// The most changes that are told at once.
const CHANGES_TOLD: i64 = 1_000;

/// How many audit entries are shown where nobody says how many.
const AUDITS_SHOWN: u64 = 100;

type Statement<'q> = Query<'q, Any, AnyArguments>;

const fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Key => "tollgate_keys",
        Kind::User => "tollgate_users",
        Kind::Team => "tollgate_teams",
        Kind::Organisation => "tollgate_organisations",
        Kind::EndUser => "tollgate_end_users",
        Kind::Budget => "tollgate_budgets",
        Kind::Tag => "tollgate_tags",
        Kind::Model => "tollgate_models",
    }
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.word() == word)
}

/// SQL that is put together here, of words that are all our own.
fn sql<'q>(text: String) -> Statement<'q> {
    sqlx::query(AssertSqlSafe(text))
}

/// The conditions of a filter, and the values that they compare with.
struct Conditions<'f> {
    sql: String,
    values: Vec<Cow<'f, str>>,
}

impl<'f> Conditions<'f> {
    fn of(filter: &'f Filter, with_after: bool) -> Self {
        let after = filter.after.as_deref().filter(|_| with_after);
        let whole = |text: &'f Option<String>| text.as_deref().map(Cow::Borrowed);
        let part = filter.alias_part.as_deref().map(|part| Cow::Owned(pattern(part)));
        let fields = [
            ("alias = ?", whole(&filter.alias)),
            ("LOWER(alias) LIKE LOWER(?) ESCAPE '!'", part),
            ("user_id = ?", whole(&filter.user)),
            ("team_id = ?", whole(&filter.team)),
            ("organisation_id = ?", whole(&filter.organisation)),
            ("id > ?", after.map(Cow::Borrowed)),
        ];
        let mut conditions = Self { sql: String::new(), values: Vec::new() };
        for (condition, value) in fields {
            let Some(value) = value else { continue };
            conditions.values.push(value);
            let word = if conditions.sql.is_empty() { "WHERE" } else { "AND" };
            let place = format!("${}", conditions.values.len());
            conditions.sql += &format!(" {word} {}", condition.replace('?', &place));
        }
        conditions
    }

    fn bind<'q>(&self, statement: Statement<'q>) -> Statement<'q> {
        self.values.iter().fold(statement, |statement, value| statement.bind(values::text(value)))
    }
}

/// What `LIKE` finds a part of a text by.
fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

fn text(row: &AnyRow, column: usize) -> Result<String, StoreError> {
    row.try_get(column).map_err(|error| failed(&error))
}

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    let (id, record) = (text(row, 0)?, text(row, 1)?);
    let record = serde_json::from_str(&record)
        .map_err(|error| StoreError::Broken(format!("the record {id} is no JSON: {error}")))?;
    Ok(Stored { id, record })
}

#[async_trait]
impl Directory for Database {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        if !self.is_made() {
            return Ok(None);
        }
        patiently(async {
            let statement = format!("SELECT id, record FROM {} WHERE id = $1", table(kind));
            let row =
                sql(statement).bind(values::text(id)).fetch_optional(self.pool().await?).await;
            row.map_err(|error| failed(&error))?.as_ref().map(stored).transpose()
        })
        .await
    }

    async fn list(&self, kind: Kind, filter: &Filter) -> Result<Vec<Stored>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async {
            let conditions = Conditions::of(filter, true);
            let limit = match filter.limit {
                0 => i64::MAX,
                limit => i64::try_from(limit).unwrap_or(i64::MAX),
            };
            let skip = i64::try_from(filter.skip).unwrap_or(i64::MAX);
            let statement = format!(
                "SELECT id, record FROM {}{} ORDER BY {} LIMIT {limit} OFFSET {skip}",
                table(kind),
                conditions.sql,
                order(filter.order, &self.place)
            );
            let rows = conditions.bind(sql(statement)).fetch_all(self.pool().await?).await;
            rows.map_err(|error| failed(&error))?.iter().map(stored).collect()
        })
        .await
    }

    async fn count(&self, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        if !self.is_made() {
            return Ok(0);
        }
        patiently(async {
            let conditions = Conditions::of(filter, false);
            let statement = format!("SELECT COUNT(*) FROM {}{}", table(kind), conditions.sql);
            let row = conditions.bind(sql(statement)).fetch_one(self.pool().await?).await;
            let count: i64 = row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    async fn change(&self, changes: Vec<Change>, audit: Vec<Audit>) -> Result<(), StoreError> {
        patiently(async {
            let (mut transaction, _turn) = self.write().await?;
            let (expected, made): (Vec<_>, Vec<_>) =
                changes.iter().partition(|change| matches!(change, Change::Expect { .. }));
            // From here to the end nobody else changes anything.
            let mut revision = next_revision(&mut transaction, made.len()).await?;
            for change in expected {
                expect(&mut transaction, change).await?;
            }
            for change in made {
                let Some((kind, id)) = apply(&mut transaction, change).await? else { continue };
                sqlx::query(
                    "INSERT INTO tollgate_changes (revision, kind, id) VALUES ($1, $2, $3)",
                )
                .bind(revision)
                .bind(kind.word())
                .bind(id.to_owned())
                .execute(&mut *transaction)
                .await
                .map_err(|error| failed(&error))?;
                revision += 1;
            }
            for entry in &audit {
                keep(&mut transaction, entry).await?;
            }
            sqlx::query("DELETE FROM tollgate_changes WHERE revision < $1")
                .bind(revision - CHANGES_KEPT)
                .execute(&mut *transaction)
                .await
                .map_err(|error| failed(&error))?;
            transaction.commit().await.map_err(|error| failed(&error))
        })
        .await
    }

    async fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async {
            let (conditions, values) = about(filter);
            let limit = if filter.limit == 0 { AUDITS_SHOWN } else { filter.limit };
            let statement = sql(format!(
                "SELECT at_us, changed_by, by_key, action, kind, record_id, before, after \
                 FROM tollgate_audit_log{conditions} ORDER BY id DESC LIMIT {limit} OFFSET {}",
                filter.skip
            ));
            let statement = values.into_iter().fold(statement, Query::bind);
            let rows = statement.fetch_all(self.pool().await?).await;
            rows.map_err(|error| failed(&error))?.iter().map(audit).collect()
        })
        .await
    }

    async fn count_audits(&self, filter: &AuditFilter) -> Result<u64, StoreError> {
        if !self.is_made() {
            return Ok(0);
        }
        patiently(async {
            let (conditions, values) = about(filter);
            let statement = sql(format!("SELECT COUNT(*) FROM tollgate_audit_log{conditions}"));
            let statement = values.into_iter().fold(statement, Query::bind);
            let row = statement.fetch_one(self.pool().await?).await;
            let count: i64 = row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    async fn changed_since(&self, revision: Option<i64>) -> Result<Vec<Changed>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async {
            let pool = self.pool().await?;
            let statement = match revision {
                Some(revision) => sqlx::query(
                    "SELECT revision, kind, id FROM tollgate_changes WHERE revision > $1 \
                     ORDER BY revision LIMIT $2",
                )
                .bind(revision)
                .bind(CHANGES_TOLD),
                None => sqlx::query(
                    "SELECT revision, kind, id FROM tollgate_changes \
                     ORDER BY revision DESC LIMIT 1",
                ),
            };
            let rows = statement.fetch_all(pool).await.map_err(|error| failed(&error))?;
            let mut changed = Vec::with_capacity(rows.len());
            for row in &rows {
                let revision = row.try_get(0).map_err(|error| failed(&error))?;
                // A kind that only a later version knows is of no interest to this one.
                if let Some(kind) = kind_of(&text(row, 1)?) {
                    changed.push(Changed { revision, kind, id: text(row, 2)? });
                }
            }
            Ok(changed)
        })
        .await
    }
}

/// The order as SQL. Texts are compared by their bytes, whatever the language of the database; what is not
/// there comes before everything.
fn order(order: Order, place: &Place) -> String {
    let (way, other) = if order.descending { ("DESC", "ASC") } else { ("ASC", "DESC") };
    let field = |name: &str, kind: &str| match place {
        Place::File(_) => format!("json_extract(record, '$.{name}')"),
        Place::Postgres { .. } => format!("(CAST(record AS JSONB) ->> '{name}'){kind}"),
    };
    let text = match place {
        Place::File(_) => "",
        Place::Postgres { .. } => " COLLATE \"C\"",
    };
    let by = match order.by {
        OrderBy::Id => return format!("id{text} {way}"),
        OrderBy::Alias => format!("alias{text}"),
        OrderBy::CreatedAt => field("created_at", text),
        OrderBy::UpdatedAt => field("updated_at", text),
        // None is more than any.
        OrderBy::MaxBudget => {
            let budget = field("max_budget", "::DOUBLE PRECISION");
            return format!("{budget} IS NULL {way}, {budget} {way}, id{text} {way}");
        }
    };
    format!("{by} IS NULL {other}, {by} {way}, id{text} {way}")
}

/// What a filter asks of an audit entry, with the values to compare with.
fn about(filter: &AuditFilter) -> (String, Vec<String>) {
    let columns = [
        ("kind", filter.kind.map(|kind| kind.word().to_owned())),
        ("record_id", filter.id.clone()),
        ("changed_by", filter.by.clone()),
        ("action", filter.action.clone()),
    ];
    let (mut conditions, mut values) = (String::new(), Vec::new());
    for (column, value) in columns {
        let Some(value) = value else { continue };
        values.push(value);
        let word = if values.len() == 1 { "WHERE" } else { "AND" };
        conditions += &format!(" {word} {column} = ${}", values.len());
    }
    (conditions, values)
}

fn audit(row: &AnyRow) -> Result<Audit, StoreError> {
    let optional = |column: usize| -> Result<Option<String>, StoreError> {
        row.try_get(column).map_err(|error| failed(&error))
    };
    // What cannot be read is shown as it is: it is history.
    let value = |text: Option<String>| {
        text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    let at_us: i64 = row.try_get(0).map_err(|error| failed(&error))?;
    let kind = text(row, 4)?;
    Ok(Audit {
        at: Timestamp::from_microsecond(at_us).unwrap_or_default(),
        by: text(row, 1)?,
        key: optional(2)?,
        action: text(row, 3)?.into(),
        kind: kind_of(&kind)
            .ok_or_else(|| StoreError::Broken(format!("an audit entry about a {kind}")))?,
        id: text(row, 5)?,
        before: value(optional(6)?),
        after: value(optional(7)?),
    })
}

/// The first of so many revisions. Whoever changes something else waits here until this transaction
/// is over, so that no revision becomes visible after a later one.
pub(super) async fn next_revision(
    transaction: &mut Transaction<'static, Any>,
    changes: usize,
) -> Result<i64, StoreError> {
    let changes = i64::try_from(changes).unwrap_or(i64::MAX);
    let row = sqlx::query(
        "UPDATE tollgate_latest_revision SET revision = revision + $1 WHERE id = 1 \
         RETURNING revision",
    )
    .bind(changes)
    .fetch_one(&mut **transaction)
    .await;
    let latest: i64 = row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
    Ok(latest - changes + 1)
}

/// Fails if a record was changed after the revision that somebody knows.
async fn expect(
    transaction: &mut Transaction<'static, Any>,
    change: &Change,
) -> Result<(), StoreError> {
    let Change::Expect { kind, id, since } = change else { return Ok(()) };
    let changed = sqlx::query(
        "SELECT revision FROM tollgate_changes \
         WHERE revision > $1 AND kind = $2 AND id = $3 LIMIT 1",
    )
    .bind(*since)
    .bind(kind.word())
    .bind(id.clone())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(|error| failed(&error))?;
    match changed {
        None => Ok(()),
        Some(_) => Err(StoreError::Conflict(format!(
            "the {} was changed by somebody else at the same time; try again",
            kind.word().replace('_', " ")
        ))),
    }
}

/// Which record was changed.
async fn apply<'c>(
    transaction: &mut Transaction<'static, Any>,
    change: &'c Change,
) -> Result<Option<(Kind, &'c str)>, StoreError> {
    let (kind, id, statement) = match change {
        Change::Insert(kind, entry) => (*kind, &entry.id, insert(*kind, entry, "")),
        Change::Put(kind, entry) => {
            let replace = " ON CONFLICT (id) DO UPDATE SET alias = excluded.alias, \
                           user_id = excluded.user_id, team_id = excluded.team_id, \
                           organisation_id = excluded.organisation_id, record = excluded.record";
            (*kind, &entry.id, insert(*kind, entry, replace))
        }
        Change::Delete(kind, id) => {
            let statement = sql(format!("DELETE FROM {} WHERE id = $1", table(*kind)));
            (*kind, id, statement.bind(id.clone()))
        }
        Change::Expect { .. } => return Ok(None),
    };
    statement.execute(&mut **transaction).await.map_err(|error| match failed(&error) {
        StoreError::Conflict(_) => StoreError::Conflict(format!(
            "there is a {} with this id or alias already",
            kind.word().replace('_', " ")
        )),
        other => other,
    })?;
    Ok(Some((kind, id)))
}

fn insert<'q>(kind: Kind, entry: &Entry, then: &str) -> Statement<'q> {
    let statement = format!(
        "INSERT INTO {} (id, alias, user_id, team_id, organisation_id, record) \
         VALUES ($1, $2, $3, $4, $5, $6){then}",
        table(kind)
    );
    sql(statement)
        .bind(entry.id.clone())
        .bind(entry.alias.clone())
        .bind(entry.user.clone())
        .bind(entry.team.clone())
        .bind(entry.organisation.clone())
        .bind(entry.record.to_string())
}

async fn keep(
    transaction: &mut Transaction<'static, Any>,
    entry: &Audit,
) -> Result<(), StoreError> {
    // Here, where all of them come by: whoever writes one cannot forget it.
    let written = |value: &Option<Value>| value.as_ref().map(|it| redacted(it).to_string());
    sqlx::query(
        "INSERT INTO tollgate_audit_log \
         (id, at_us, changed_by, by_key, action, kind, record_id, before, after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(entry.at.as_microsecond())
    .bind(entry.by.clone())
    .bind(entry.key.clone())
    .bind(entry.action.clone().into_owned())
    .bind(entry.kind.word())
    .bind(entry.id.clone())
    .bind(written(&entry.before))
    .bind(written(&entry.after))
    .execute(&mut **transaction)
    .await
    .map(drop)
    .map_err(|error| failed(&error))
}
