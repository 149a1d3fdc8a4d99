//! `/`: what this is and where to go, for a person or a program.

use std::fmt::Write;

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY};
use http::{HeaderMap, HeaderName};
use serde_json::json;

use super::routes::LISTED;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const NOSNIFF: (HeaderName, &str) = (HeaderName::from_static("x-content-type-options"), "nosniff");

/// HTML if the client says that it reads it, JSON otherwise.
pub(super) async fn landing(headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let common = [(CACHE_CONTROL, "no-store"), (VARY, "Accept"), NOSNIFF];
    if accept.contains("text/html") {
        // No script, nothing from elsewhere, not in a frame.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        (common, [(CONTENT_SECURITY_POLICY, policy)], Html(page())).into_response()
    } else {
        let routes: Vec<_> = LISTED
            .iter()
            .map(|route| json!({"method": route.method, "path": route.path, "what": route.what}))
            .collect();
        (common, Json(json!({"name": "tollgate", "version": VERSION, "routes": routes})))
            .into_response()
    }
}

fn page() -> String {
    let mut rows = String::new();
    for route in LISTED {
        // Only a path that can be opened as it stands is a link.
        let path = if route.method == "GET" && !route.path.contains('{') {
            format!("<a href=\"{0}\">{0}</a>", route.path)
        } else {
            route.path.to_owned()
        };
        let row = format_args!(
            "<tr><td>{}</td><td><code>{path}</code></td><td>{}</td></tr>\n",
            route.method, route.what
        );
        rows.write_fmt(row).expect("writing to a string cannot fail");
    }
    format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Tollgate</title>\n\
         <style>{STYLE}</style>\n\
         </head>\n\
         <body>\n\
         <h1>Tollgate <small>{VERSION}</small></h1>\n\
         <p>An LLM gateway: one OpenAI-compatible endpoint in front of many providers.</p>\n\
         <table>\n\
         <thead><tr><th>Method</th><th>Path</th><th>Answers with</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n\
         </table>\n\
         </body>\n\
         </html>\n"
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:3rem auto;padding:0 1rem}\
small{font-weight:normal;opacity:.6}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8884}\
td{overflow-wrap:anywhere}";
