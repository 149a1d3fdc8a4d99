//! `GET /audit`: who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::form::Parameters;
use super::super::page::Page;
use super::Reports;
use crate::keys::record::Kind;
use crate::keys::{Audit, AuditFilter};

/// Entries on a page, and the most of them.
const PAGE: (u64, u64) = (10, 100);

/// LiteLLM names the table that was changed.
const TABLES: [(&str, Kind); 8] = [
    ("LiteLLM_VerificationToken", Kind::Key),
    ("LiteLLM_UserTable", Kind::User),
    ("LiteLLM_TeamTable", Kind::Team),
    ("LiteLLM_OrganizationTable", Kind::Organisation),
    ("LiteLLM_EndUserTable", Kind::EndUser),
    ("LiteLLM_BudgetTable", Kind::Budget),
    ("LiteLLM_TagTable", Kind::Tag),
    ("LiteLLM_ProxyModelTable", Kind::Model),
];

pub(super) async fn list(
    State(reports): State<Arc<Reports>>,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let text = |name| form.filled(name);
    let page = Page::read(&form, "page_size", PAGE)?;
    let kind = text("table_name")?.map(|name| {
        let known = TABLES.iter().find(|(table, kind)| *table == name || kind.word() == name);
        let wrong = || {
            let names = TABLES.map(|(table, _)| table).join(", ");
            Fault::value("table_name", format!("table_name must be one of {names}"))
        };
        known.map(|(_, kind)| *kind).ok_or_else(wrong)
    });
    let filter = AuditFilter {
        kind: kind.transpose()?,
        id: text("object_id")?,
        by: text("changed_by")?,
        action: text("action")?,
        skip: page.skip(),
        limit: page.size,
    };
    let entries = reports.directory.audits(&filter).await?;
    let total = reports.directory.count_audits(&filter).await?;
    Ok(Json(json!({
        "audit_logs": entries.into_iter().map(shown).collect::<Vec<_>>(),
        "total": total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": page.pages(total),
    })))
}

fn shown(entry: Audit) -> Value {
    let table = TABLES.iter().find(|(_, kind)| *kind == entry.kind).map(|(table, _)| *table);
    json!({
        "updated_at": entry.at.to_string(),
        "changed_by": entry.by,
        "changed_by_api_key": entry.key,
        "action": entry.action,
        "table_name": table,
        "object_id": entry.id,
        "before_value": entry.before.map(open),
        "updated_values": entry.after.map(open),
    })
}

/// Without what is sealed: it means nothing to a reader.
fn open(mut record: Value) -> Value {
    if let Some(fields) = record.as_object_mut() {
        fields.remove("sealed");
    }
    record
}
