//! What is fetched of the addresses that clients name.

use super::{Context, Sections};
use crate::config::problem::Finding;
use crate::config::section::{At, first};
use crate::snapshot::Fetching;

/// LiteLLM's variable for the largest thing, where the file does not say.
const MAX_MB_VAR: &str = "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB";

/// What providers that take data take of one image; the table of options shows the same.
const MAX_MB: f64 = 20.0;

/// Largest that may be written.
const MAX_MB_MAX: f64 = 512.0;

pub(super) fn fetching(sections: &mut Sections<'_>, context: &Context<'_>) -> Fetching {
    let (general, litellm) = (&mut sections.general, &mut sections.litellm);
    // LiteLLM read them in one section first, and in the other later.
    let validates =
        first([litellm.flag("user_url_validation"), general.flag("user_url_validation")]);
    let listed = [litellm.texts("user_url_allowed_hosts"), general.texts("user_url_allowed_hosts")];
    let mut allowed_hosts = Vec::new();
    for At { value, spot } in listed.into_iter().flatten().flatten() {
        let host = value.trim();
        if host.is_empty() || host.contains(['/', '*', ' ', '@']) {
            let message = format!("`{value}` is not a host");
            let help =
                "write `files.example.internal`, or `10.0.0.7:8080`: as it stands in the URL";
            context.problems.push(Finding::error(spot, message).help(help));
            continue;
        }
        allowed_hosts.push(host.into());
    }
    let name = "max_image_url_download_size_mb";
    let within = |mb: &f64| *mb == 0.0 || (0.001..=MAX_MB_MAX).contains(mb);
    let told = |what: &str, value: &str| {
        format!("`{what}` must be 0, or between 0.001 and {MAX_MB_MAX}, found `{value}`")
    };
    let max_mb = match general.number(name) {
        Some(At { value, .. }) if within(&value) => value,
        Some(At { value, spot }) => {
            context.problems.push(Finding::error(spot, told(name, &value.to_string())));
            MAX_MB
        }
        None => match context.var(MAX_MB_VAR) {
            None => MAX_MB,
            Some(written) => written.parse().ok().filter(within).unwrap_or_else(|| {
                context.problems.push(Finding::error(None, told(MAX_MB_VAR, &written)));
                MAX_MB
            }),
        },
    };
    Fetching {
        validates: validates.is_none_or(|at| at.value),
        allowed_hosts,
        // Within the range above.
        max_bytes: (max_mb * 1_048_576.0) as usize,
    }
}
