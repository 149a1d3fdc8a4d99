//! Callbacks of single keys and teams: what their variables mean, who may be told by them, those that the
//! configuration gives to teams (of_file.rs), and the sinks that are made for all of them (sinks.rs).
//!
//! Their receivers are named by whoever runs a team, so where the gateway may post to is a question of
//! who asks: [`Settings::allows`]. Their variables are never shown and kept sealed.

mod of_file;
mod sinks;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;
use sha2::{Digest as _, Sha256};

pub(super) use self::of_file::Own;
pub use self::of_file::{OfTeam, Written};
pub(super) use self::sinks::{Found, Places, Sinks, remove_old};
use super::langfuse;
use super::settings::{Post, SinkSettings, Target};
use crate::keys::Principal;

/// The callbacks that keys and teams may have.
pub const NAMES: [&str; 1] = ["langfuse"];
/// What stands for a secret where variables are shown; LiteLLM's word.
pub const HIDDEN: &str = "***REDACTED***";
/// What refers to the environment of this process, which nobody who writes to it may read.
const REFERENCE: &str = "os.environ/";

const PUBLIC: &str = "langfuse_public_key";
/// The same by two names.
const SECRETS: [&str; 2] = ["langfuse_secret_key", "langfuse_secret"];
const HOST: &str = "langfuse_host";
/// It is about all that a key or a team says, and no receiver's.
const SILENCE: &str = "turn_off_message_logging";

/// Where Langfuse itself is.
const LANGFUSE: [&str; 4] = [
    "cloud.langfuse.com",
    "us.cloud.langfuse.com",
    "hipaa.cloud.langfuse.com",
    "jp.cloud.langfuse.com",
];

/// What of the configuration callbacks of keys and teams follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the gateway's own Langfuse is, which is also that of a team that names none.
    pub langfuse_host: Box<str>,
    pub default_tags: Vec<Box<str>>,
    /// Hosts that admins of teams may name beside Langfuse's own: `host`, or `host:port`.
    pub hosts: Vec<Box<str>>,
    /// What the configuration says of teams, by their ids.
    pub teams: BTreeMap<Box<str>, OfTeam>,
    /// The most requests that are sent at once.
    pub batch: usize,
    /// How long the first of a batch waits for the others.
    pub every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            langfuse_host: langfuse::CLOUD.into(),
            default_tags: Vec::new(),
            hosts: Vec::new(),
            teams: BTreeMap::new(),
            batch: 512,
            every: Duration::from_secs(5),
        }
    }
}

/// Where one of them tells of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    target: Target,
}

/// Whose callbacks a seal belongs to: those of a key, by the hash under which it is counted.
#[must_use]
pub fn owner_of_key(account: &str) -> String {
    format!("callbacks of key {account}")
}

/// The same of a team.
#[must_use]
pub fn owner_of_team(team_id: &str) -> String {
    format!("callbacks of team {team_id}")
}

/// Whose the callbacks of a request are, its key's or its team's.
fn owner(holder: &Principal) -> String {
    match holder.key.logging {
        Some(_) => owner_of_key(holder.account()),
        None => owner_of_team(holder.team_id().unwrap_or_default()),
    }
}

/// Whether a variable may be shown.
#[must_use]
pub fn is_open(name: &str) -> bool {
    [PUBLIC, HOST, SILENCE].contains(&name)
}

impl Settings {
    /// Reads the variables of a callback. `None`: they name no receiver, and are right all the same.
    ///
    /// # Errors
    /// Why they make no callback, without what was written.
    pub fn read(
        &self,
        name: &str,
        vars: &BTreeMap<String, String>,
    ) -> Result<Option<Receiver>, String> {
        if !NAMES.contains(&name) {
            return Err(format!(
                "a key or a team cannot have this callback, only: {}",
                NAMES.join(", ")
            ));
        }
        for (var, value) in vars {
            if !is_open(var) && !SECRETS.contains(&&**var) {
                return Err(format!("{name} has no variable of this name: {}", listed()));
            }
            if value.contains(REFERENCE) {
                return Err(format!("{var}: the gateway's environment is not read for a request"));
            }
        }
        if let Some(silence) = vars.get(SILENCE)
            && !["true", "false"].iter().any(|word| silence.eq_ignore_ascii_case(word))
        {
            return Err(format!("{SILENCE} must be true or false"));
        }
        let says =
            |name: &str| vars.get(name).map(|value| value.trim()).filter(|it| !it.is_empty());
        let secret = SECRETS.iter().find_map(|name| says(name));
        let (public, secret) = match (says(PUBLIC), secret) {
            (Some(public), Some(secret)) => (public, secret),
            (None, None) if vars.contains_key(SILENCE) && says(HOST).is_none() => return Ok(None),
            _ => return Err(format!("langfuse needs {PUBLIC} and {}", SECRETS[0])),
        };
        let host = says(HOST).unwrap_or(&self.langfuse_host);
        let post = langfuse::post(public, secret, host);
        let post = post.filter(|post| is_plain(&post.url));
        let post = post.ok_or_else(|| {
            format!("{HOST} must be an address like {}, without credentials", langfuse::CLOUD)
        })?;
        let default_tags = self.default_tags.clone();
        Ok(Some(Receiver { target: Target::Langfuse { post, default_tags } }))
    }

    /// Whether somebody may have a receiver called who may not call whatever there is: it is Langfuse
    /// itself, the gateway's own, or a host that the configuration allows.
    #[must_use]
    pub fn allows(&self, receiver: &Receiver) -> bool {
        let Target::Langfuse { post, .. } = &receiver.target else { return false };
        if langfuse::post("", "", &self.langfuse_host).is_some_and(|own| own.url == post.url) {
            return true;
        }
        let Ok(uri) = post.url.parse::<Uri>() else { return false };
        let Some(authority) = uri.authority() else { return false };
        let named = authority.as_str().to_ascii_lowercase();
        let is_langfuse = LANGFUSE.contains(&&*named) && uri.scheme_str() == Some("https");
        is_langfuse || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(&named))
    }

    /// A sink for a receiver. Those with the same receiver share one, whoever they are.
    pub(super) fn sink(&self, name: &str, receiver: Receiver) -> SinkSettings {
        let Receiver { target } = receiver;
        SinkSettings {
            name: format!("{name}-{}", digest(&target)).into(),
            target,
            successes: true,
            failures: true,
            batch: self.batch,
            every: self.every,
        }
    }
}

fn listed() -> String {
    let names = [PUBLIC, SECRETS[0], SECRETS[1], HOST, SILENCE];
    names.join(", ")
}

/// Whether an address holds no credentials of its own, no query and no fragment.
fn is_plain(url: &str) -> bool {
    !url.contains(['@', '?', '#'])
}

/// What a receiver is known by: its address and what it is given to know us by.
fn digest(target: &Target) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    if let Target::Generic { post, .. }
    | Target::Langfuse { post, .. }
    | Target::Datadog { post, .. } = target
    {
        let Post { url, headers } = post;
        add(url.as_bytes());
        for (name, value) in headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
    }
    let hash = hash.finalize();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn with(host: &str) -> BTreeMap<String, String> {
        vars(&[(PUBLIC, "pk"), ("langfuse_secret", "sk-lf-1"), (HOST, host)])
    }

    #[test]
    fn what_makes_no_receiver_is_refused_and_not_repeated() {
        let read = |name: &str, pairs: &[(&str, &str)]| {
            Settings::default().read(name, &vars(pairs)).unwrap_err()
        };
        for (name, pairs) in [
            ("lunary", &[(PUBLIC, "pk"), ("langfuse_secret", "hush")][..]),
            ("langfuse", &[]),
            ("langfuse", &[(PUBLIC, "pk")]),
            ("langfuse", &[("langfuse_secret", "hush")]),
            ("langfuse", &[(PUBLIC, "pk"), ("langfuse_secret", "os.environ/hush")]),
            ("langfuse", &[(PUBLIC, "pk"), ("langfuse_secret", "s"), ("hush", "hush")]),
            ("langfuse", &[(PUBLIC, "pk"), ("langfuse_secret", "s"), (HOST, "http://u:hush@h")]),
            ("langfuse", &[(PUBLIC, "pk"), ("langfuse_secret", "s"), (HOST, "ftp://hush")]),
            ("langfuse", &[(PUBLIC, "pk"), ("langfuse_secret", "s"), (HOST, "http://h/?hush")]),
            ("langfuse", &[(SILENCE, "hush")]),
        ] {
            let why = read(name, pairs);
            assert!(!why.contains("hush"), "{name} {pairs:?}: {why}");
        }
        let silent = Settings::default().read("langfuse", &vars(&[(SILENCE, "true")]));
        assert_eq!(silent, Ok(None), "it names no receiver, and says something");
    }

    #[test]
    fn who_may_not_call_everything_calls_langfuse_and_hosts_that_are_allowed() {
        let settings = Settings {
            langfuse_host: "http://langfuse.internal:3000".into(),
            hosts: vec!["logs.example.com".into(), "10.0.0.9:3000".into()],
            ..Settings::default()
        };
        let allows =
            |host: &str| settings.allows(&settings.read("langfuse", &with(host)).unwrap().unwrap());
        for host in [
            "https://cloud.langfuse.com",
            "https://us.cloud.langfuse.com/",
            "http://langfuse.internal:3000",
            "https://Logs.example.com",
            "http://10.0.0.9:3000",
            "",
        ] {
            assert!(allows(host), "{host}");
        }
        for host in [
            "http://169.254.169.254",
            "http://localhost:4000",
            "http://cloud.langfuse.com",
            "https://cloud.langfuse.com:8443",
            "https://cloud.langfuse.com.evil.example",
            "http://langfuse.internal:3001",
            "http://langfuse.internal:3000/admin",
            "http://10.0.0.9",
            "http://logs.example.com:22",
        ] {
            assert!(!allows(host), "{host}");
        }
    }

    #[test]
    fn a_sink_is_named_by_its_receiver_and_shows_none_of_it() {
        let settings = Settings::default();
        let sink = |host: &str| {
            settings.sink("langfuse", settings.read("langfuse", &with(host)).unwrap().unwrap())
        };
        let one = sink("https://a.example");
        assert_eq!(one, sink("https://a.example/"));
        assert_ne!(one.name, sink("https://b.example").name);
        assert!(one.name.starts_with("langfuse-") && one.name.len() == "langfuse-".len() + 16);
        assert!(!format!("{one:?}").contains("sk-lf-1"));
    }
}
