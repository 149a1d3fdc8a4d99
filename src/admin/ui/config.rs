//! `GET /ui/api/config`: what is in force, as far as it is no secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::VERSION;
use super::Ui;
use super::sessions::millis;

pub(super) async fn show(State(ui): State<Arc<Ui>>) -> Json<Value> {
    let (source, operations) = (&ui.shared.source, ui.shared.operations.as_ref());
    let groups: Vec<_> = source
        .groups()
        .iter()
        .map(|group| json!({"name": group.name, "deployments": group.deployments.len()}))
        .collect();
    let last = operations.and_then(|operations| operations.last_reload());
    let last = last.map(|last| {
        let result = if last.succeeded { "success" } else { "failure" };
        json!({"result": result, "at": millis(last.at)})
    });
    let options = operations.map(|operations| operations.options()).unwrap_or_default();
    let option = |(name, value): &(Box<str>, _)| json!({"name": name, "value": value});
    Json(json!({
        "version": VERSION,
        "started": ui.shared.started * 1_000,
        "file": operations.and_then(|operations| operations.file()),
        "last_reload": last,
        "warnings": operations.map(|operations| operations.warnings()).unwrap_or_default(),
        "options": options.iter().map(option).collect::<Vec<_>>(),
        "groups": groups,
    }))
}
