//! `GET /audit`: who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::form::Form;
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
    uri: Uri,
) -> Result<Json<Value>, Fault> {
    let form = Form::of_query(uri.query());
    let text = |name: &str| -> Result<Option<String>, Fault> {
        Ok(form.text(name)?.value().filter(|text| !text.is_empty()))
    };
    let page = form.count("page")?.value().unwrap_or(1);
    let size = form.count("page_size")?.value().unwrap_or(PAGE.0);
    if page == 0 || page > 1_000_000 {
        return Err(Fault::shape("page", "page must be between 1 and 1000000".to_owned()));
    }
    if size == 0 || size > PAGE.1 {
        let message = format!("page_size must be between 1 and {}", PAGE.1);
        return Err(Fault::shape("page_size", message));
    }
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
        skip: (page - 1) * size,
        limit: size,
    };
    let entries = reports.directory.audits(&filter).await?;
    let total = reports.directory.count_audits(&filter).await?;
    Ok(Json(json!({
        "audit_logs": entries.into_iter().map(shown).collect::<Vec<_>>(),
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": total.div_ceil(size),
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
