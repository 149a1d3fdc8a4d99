//! Where keys and spend are kept: `database`, `general_settings.database_url`, or a file by default.

use std::path::{Path, PathBuf};

use super::{Context, Sections};
use crate::config::env::Env;
use crate::config::options::DATABASE;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, first};
use crate::store::{BadUrl, Place, Settings};

/// LiteLLM's.
const CONNECTIONS: u32 = 10;
const CONNECTIONS_MAX: u32 = 1_000;

const FILE: &str = "tollgate.db";
const JOURNAL: &str = "journal";
/// The state directory of a process that has neither a service manager nor a home.
const STATE: &str = "/var/lib/tollgate";

/// What `type` may say.
const TYPES: [&str; 2] = ["sqlite", "postgres"];

const URL_VARIABLE: &str = "DATABASE_URL";

pub(super) fn store(sections: &mut Sections<'_>, context: &Context<'_>) -> Settings {
    let problems = context.problems;
    let mut database = sections.top.section("database", &DATABASE);
    let general = &mut sections.general;
    let kind = database.text("type").and_then(|at| kind(at, problems));
    let path = database.text("path");
    let journal = database.text("journal");
    let connections = first([
        database.between("max_connections", 1..=CONNECTIONS_MAX),
        general.between("database_connection_pool_limit", 1..=CONNECTIONS_MAX),
    ]);
    let connections = connections.map_or(CONNECTIONS, |at| at.value);
    let unprepared = general.flag("database_disable_prepared_statements");
    let written = first([database.text("connection_string"), general.text("database_url")]);
    let spot = database.spot;
    database.finish();

    let state = state_directory(context.env);
    let journal = match journal {
        Some(At { value, .. }) => PathBuf::from(&*context.file(value)),
        None => state.join(JOURNAL),
    };
    let file = match path {
        Some(At { value, .. }) => PathBuf::from(&*context.file(value)),
        None => state.join(FILE),
    };
    let from_env = || context.var(URL_VARIABLE);
    let url = match (kind, path, written) {
        (Some(Kind::Sqlite), _, Some(at)) => {
            let message = "a `sqlite` database has a `path`, and no URL";
            problems.push(Finding::error(at.spot, message));
            None
        }
        (Some(Kind::Sqlite), _, None) | (None, Some(_), None) => None,
        (_, Some(path), Some(_)) | (Some(Kind::Postgres), Some(path), None) => {
            let message = "`path` is for `sqlite`; the URL says where PostgreSQL is";
            problems.push(Finding::error(path.spot, message).help("remove one of the two"));
            None
        }
        (_, None, Some(at)) => Some((at.value.to_owned(), Some(at.spot))),
        (Some(Kind::Postgres), None, None) => {
            let url = from_env();
            if url.is_none() {
                let message = "a `postgres` database needs a `connection_string`";
                let help = "write `connection_string: os.environ/DATABASE_URL`";
                problems.push(Finding::error(spot, message).help(help));
            }
            url.map(|url| (url, None))
        }
        (None, None, None) => from_env().map(|url| (url, None)),
    };
    let place = url.and_then(|(url, spot)| {
        let place = Place::of_url(&with_parameters(url.trim(), unprepared), connections);
        place.map_err(|problem| problems.push(refused(problem, spot))).ok()
    });
    Settings { place: place.unwrap_or(Place::File(file)), journal }
}

#[derive(Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
}

fn kind(at: At<&str>, problems: &Problems) -> Option<Kind> {
    match at.value.to_ascii_lowercase().as_str() {
        "sqlite" | "sqlite3" => Some(Kind::Sqlite),
        "postgres" | "postgresql" => Some(Kind::Postgres),
        other => {
            let help = match nearest(other, TYPES) {
                Some((near, _)) => format!("did you mean `{near}`?"),
                None => "write `sqlite` or `postgres`".to_owned(),
            };
            let message = format!("`{}` is not a kind of database", at.value);
            problems.push(Finding::error(at.spot, message).help(help));
            None
        }
    }
}

/// The URL, with what the options add to it.
fn with_parameters(url: &str, unprepared: Option<At<bool>>) -> String {
    match unprepared {
        Some(At { value: true, .. }) if url.starts_with("postgres") => {
            let sign = if url.contains('?') { '&' } else { '?' };
            format!("{url}{sign}statement-cache-capacity=0")
        }
        Some(_) | None => url.to_owned(),
    }
}

/// The URL itself is not shown: it may hold a password.
fn refused(problem: BadUrl, spot: Option<Spot>) -> Finding {
    let help = "write `postgresql://user:password@host:5432/database`";
    match spot {
        Some(spot) => Finding::error(spot, format!("this is no URL of a database: {problem}")),
        None => Finding::error(
            None,
            format!("the variable `{URL_VARIABLE}` is no URL of a database: {problem}"),
        ),
    }
    .help(help)
}

/// Where the process keeps what outlives it: as systemd says, or as the XDG base directories do.
fn state_directory(env: &dyn Env) -> PathBuf {
    let var = |name: &str| env.var(name).filter(|value| Path::new(value).is_absolute());
    // systemd lists several, divided by colons.
    let systemd = var("STATE_DIRECTORY").and_then(|listed| Some(listed.split(':').next()?.into()));
    let xdg = || var("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("tollgate"));
    let home = || var("HOME").map(|home| PathBuf::from(home).join(".local/state/tollgate"));
    systemd.or_else(xdg).or_else(home).unwrap_or_else(|| STATE.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::load_text;

    fn load(yaml: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let yaml = format!("model_list: []\n{yaml}");
        let loaded = load_text(Path::new("/etc/t.yaml"), &yaml, &env);
        let (report, _) = crate::config::report(&loaded.problems, false, false);
        loaded.snapshot.map(|snapshot| snapshot.store).ok_or(report)
    }

    fn file(settings: &Settings) -> &Path {
        let Place::File(path) = &settings.place else { panic!("{settings:?}") };
        path
    }

    fn url(settings: &Settings) -> &str {
        let Place::Postgres { url, .. } = &settings.place else { panic!("{settings:?}") };
        url.expose()
    }

    #[test]
    fn without_a_word_it_is_a_file_in_the_state_directory() {
        for (env, state) in [
            (&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("HOME", "/h")][..], "/var/lib/a"),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], "/x/tollgate"),
            (&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], "/h/.local/state/tollgate"),
            (&[], "/var/lib/tollgate"),
        ] {
            let settings = load("", env).unwrap();
            assert_eq!(file(&settings), Path::new(state).join("tollgate.db"));
            assert_eq!(settings.journal, Path::new(state).join("journal"));
        }
        let settings = load("database: {path: keys.db, journal: j}", &[]).unwrap();
        assert_eq!(file(&settings), Path::new("/etc/keys.db"));
        assert_eq!(settings.journal, Path::new("/etc/j"));
    }

    #[test]
    fn postgresql_is_named_in_three_ways() {
        let env = [("DATABASE_URL", "postgresql://env/db")];
        let written = "general_settings: {database_url: postgresql://general/db}";
        let section = "database: {type: postgres, connection_string: postgresql://section/db}";
        for (yaml, expected) in [
            ("", "postgresql://env/db"),
            ("database: {type: postgres}", "postgresql://env/db"),
            (written, "postgresql://general/db"),
            (section, "postgresql://section/db"),
        ] {
            assert_eq!(url(&load(yaml, &env).unwrap()), expected);
        }
        let sqlite = load("database: {type: sqlite}", &env).unwrap();
        assert_eq!(file(&sqlite), Path::new("/var/lib/tollgate/tollgate.db"));
        let pooled = "general_settings: {database_url: postgresql://a/b, \
                      database_disable_prepared_statements: true}";
        let pooled = load(pooled, &[]).unwrap();
        assert_eq!(url(&pooled), "postgresql://a/b?statement-cache-capacity=0");
    }

    #[test]
    fn what_contradicts_itself_is_refused_without_a_word_of_the_password() {
        for (yaml, problem) in [
            ("database: {type: mysql}", "is not a kind of database"),
            ("database: {type: postgres}", "needs a `connection_string`"),
            ("database: {type: postgres, path: a.db}", "`path` is for `sqlite`"),
            ("database: {type: sqlite, connection_string: 'postgresql://a/b'}", "has a `path`"),
            ("general_settings: {database_url: 'mysql://u:hunter2@a/b'}", "only PostgreSQL"),
            ("general_settings: {database_url: 'postgresql://u:hunter2@a:b/c'}", "not of the form"),
        ] {
            let report = load(yaml, &[]).unwrap_err();
            assert!(report.contains(problem), "{report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
        let report = load("", &[("DATABASE_URL", "hunter2")]).unwrap_err();
        assert!(report.contains("`DATABASE_URL` is no URL"), "{report}");
        assert!(!report.contains("hunter2"), "{report}");
    }
}
