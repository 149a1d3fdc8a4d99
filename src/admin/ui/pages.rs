//! The files of the dashboard. They are part of the program; a debug build reads them from the source
//! tree, so that a change is seen without building.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use rust_embed::RustEmbed;

use super::super::Shared;
use super::super::fault::Fault;

#[derive(RustEmbed)]
#[folder = "src/admin/ui/pages"]
struct Files;

const INDEX: &str = "index.html";

/// Nothing from elsewhere, nothing inline, not in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// `GET /ui` and everything below it that is no route of the API.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !shared.source.dashboard().enabled {
        return disabled().into_response();
    }
    let path = uri.path().strip_prefix("/ui").unwrap_or_default().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Fault::absent("path", "The dashboard's API has no such route".to_owned())
            .into_response();
    }
    // Addresses within the pages are the pages' own business.
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if last.contains('.') { path } else { INDEX };
    let Some(file) = Files::get(name) else {
        return Fault::absent("path", "The dashboard has no such file".to_owned()).into_response();
    };
    let tag: String = file.metadata.sha256_hash().iter().take(16).map(hex).collect();
    let tag = format!("\"{tag}\"");
    let common = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
        // Asked for anew, and answered with 304: a new version is seen at once.
        (CACHE_CONTROL, "no-cache"),
    ];
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let etag = [(ETAG, tag)];
    if is_known {
        return (StatusCode::NOT_MODIFIED, common, etag).into_response();
    }
    (common, etag, [(CONTENT_TYPE, media_type(name))], file.data.into_owned()).into_response()
}

/// The answer where the operator wants no dashboard.
pub(super) fn disabled() -> Fault {
    Fault::absent("path", "The dashboard is disabled here (`dashboard.enabled`)".to_owned())
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_there_and_obey_their_policy() {
        let names: Vec<_> = Files::iter().collect();
        assert!(names.iter().any(|name| name == INDEX), "{names:?}");
        for name in names.iter().filter(|name| name.ends_with(".html")) {
            let page = Files::get(name).unwrap();
            let page = String::from_utf8_lossy(&page.data).into_owned();
            for wrong in ["<style", " style=", " onclick=", "http://", "https://"] {
                assert!(!page.contains(wrong), "{name} has {wrong}");
            }
            for script in page.split("<script").skip(1) {
                let tag = script.split('>').next().unwrap();
                assert!(tag.contains("src=\"/ui/"), "{name}: <script{tag}>");
            }
        }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_a_file() {
        for name in ["../mod.rs", "../../mod.rs", "/etc/passwd", "..%2fmod.rs"] {
            assert!(Files::get(name).is_none(), "{name}");
        }
    }
}
