//! The files of the dashboard. They are part of the program; a debug build reads them from the source
//! tree, so that a change is seen without building.
//!
//! The page names its modules and styles below a segment that stands for the content of all files
//! (`/ui/v-0123.../main.js`). What is there never changes, so a browser that has it asks for nothing but the page:
//! one line in the access log, and not one for each of some fifty modules.

use std::borrow::Cow;
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
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use super::super::Shared;
use super::super::fault::Fault;

#[derive(RustEmbed)]
#[folder = "src/admin/ui/pages"]
struct Files;

const INDEX: &str = "index.html";
/// How the segment of a version begins; no page is called so.
const VERSION_MARK: &str = "v-";
/// A debug build's files may change under its version.
const ARE_FIXED: bool = !cfg!(debug_assertions);
/// A smaller file is one packet anyway.
const PACKED_MIN: usize = 1_000;

/// Files as they go to browsers that take gzip, by the hash of their content: each is packed when it is
/// first asked for.
static PACKED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// The segment of this program's files: another one as soon as any of them is another.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let mut all = Sha256::new();
    for (name, file) in names.iter().filter_map(|name| Some((name, Files::get(name)?))) {
        all.update(name.as_bytes());
        all.update(file.metadata.sha256_hash());
    }
    let hash: String = all.finalize().iter().take(8).map(hex).collect();
    format!("{VERSION_MARK}{hash}")
});

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
    let (path, is_versioned) = without_version(path);
    // Addresses within the pages are the pages' own business.
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if last.contains('.') { path } else { INDEX };
    let Some(file) = File::find(name) else {
        return Fault::absent("path", "The dashboard has no such file".to_owned()).into_response();
    };
    let packed = takes_gzip(&headers).then(|| file.packed()).flatten();
    let tag: String = file.hash.iter().take(16).map(hex).collect();
    let tag = format!("\"{tag}{}\"", if packed.is_some() { "-gzip" } else { "" });
    let common = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
        (CACHE_CONTROL, kept(is_versioned && ARE_FIXED)),
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
        None => (common, etag, kind, file.data).into_response(),
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

/// How long a browser may believe that it has a file.
const fn kept(is_fixed: bool) -> &'static str {
    // Else it asks anew, and is answered with 304: a new version is seen at once.
    if is_fixed { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// The path without the segment of a version, and whether that version is this one. Another gateway's page
/// may ask here while an upgrade is under way: it gets what there is, and does not keep it.
fn without_version(path: &str) -> (&str, bool) {
    match path.split_once('/') {
        Some((first, rest)) if first.starts_with(VERSION_MARK) => (rest, first == *VERSION),
        _ => (path, false),
    }
}

/// What goes out under a name.
struct File {
    data: Cow<'static, [u8]>,
    hash: [u8; 32],
}

impl File {
    fn find(name: &str) -> Option<Self> {
        let found = Files::get(name)?;
        let (data, hash) = (found.data, found.metadata.sha256_hash());
        if name != INDEX {
            return Some(Self { data, hash });
        }
        let page = String::from_utf8_lossy(&data);
        let page = page.replace("\"/ui/", &format!("\"/ui/{}/", *VERSION)).into_bytes();
        let hash = Sha256::digest(&page).into();
        Some(Self { data: page.into(), hash })
    }

    /// The file in gzip, if that is worth it.
    fn packed(&self) -> Option<Bytes> {
        if self.data.len() < PACKED_MIN {
            return None;
        }
        if let Some(packed) = PACKED.lock().get(&self.hash) {
            return Some(packed.clone());
        }
        let mut packing = GzEncoder::new(Vec::new(), Compression::best());
        packing.write_all(&self.data).ok()?;
        let packed = Bytes::from(packing.finish().ok()?);
        PACKED.lock().insert(self.hash, packed.clone());
        Some(packed)
    }
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
    fn only_what_this_version_names_is_kept() {
        let own = format!("{}/lib/api.js", *VERSION);
        assert_eq!(without_version(&own), ("lib/api.js", true));
        let other = format!("{VERSION_MARK}0123456789abcdef/lib/api.js");
        assert_eq!(without_version(&other), ("lib/api.js", false));
        for path in ["lib/api.js", "requests/v-1", "requests", ""] {
            assert_eq!(without_version(path), (path, false));
        }
        assert!(kept(true).contains("immutable"));
        assert_eq!(kept(false), "no-cache");
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
