//! The files of the dashboard. They are part of the program; a debug build reads them from the source
//! tree, so that a change is seen without building.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use parking_lot::Mutex;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::super::Shared;
use super::super::fault::Fault;

#[derive(RustEmbed)]
#[folder = "src/admin/ui/pages"]
struct Files;

const INDEX: &str = "index.html";
/// A smaller file is one packet anyway.
const PACKED_MIN: usize = 1_000;

/// Files as they go to browsers that take gzip, by the hash of their content: each is packed when it is
/// first asked for.
static PACKED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

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
    let packed = takes_gzip(&headers).then(|| packed(&file)).flatten();
    let tag: String = file.metadata.sha256_hash().iter().take(16).map(hex).collect();
    let tag = format!("\"{tag}{}\"", if packed.is_some() { "-gzip" } else { "" });
    let common = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
        // Asked for anew, and answered with 304: a new version is seen at once.
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
    ];
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let etag = [(ETAG, tag)];
    if is_known {
        return (StatusCode::NOT_MODIFIED, common, etag).into_response();
    }
    let kind = [(CONTENT_TYPE, media_type(name))];
    match packed {
        Some(packed) => (common, etag, kind, [(CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (common, etag, kind, file.data.into_owned()).into_response(),
    }
}

/// Whether a browser takes gzip: all do, but for those who say `gzip;q=0`.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let taken = headers.get(ACCEPT_ENCODING).and_then(|taken| taken.to_str().ok());
    taken.unwrap_or_default().split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// The file in gzip, if that is worth it.
fn packed(file: &EmbeddedFile) -> Option<Bytes> {
    if file.data.len() < PACKED_MIN {
        return None;
    }
    let hash = file.metadata.sha256_hash();
    if let Some(packed) = PACKED.lock().get(&hash) {
        return Some(packed.clone());
    }
    let mut packing = GzEncoder::new(Vec::new(), Compression::best());
    packing.write_all(&file.data).ok()?;
    let packed = Bytes::from(packing.finish().ok()?);
    PACKED.lock().insert(hash, packed.clone());
    Some(packed)
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
    fn browsers_say_whether_they_take_gzip() {
        for (said, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, said.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), takes, "{said}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn nothing_outside_of_the_folder_is_a_file() {
        for name in ["../mod.rs", "../../mod.rs", "/etc/passwd", "..%2fmod.rs"] {
            assert!(Files::get(name).is_none(), "{name}");
        }
    }
}
