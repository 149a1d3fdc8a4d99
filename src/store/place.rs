//! Where keys and spend are kept.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

use crate::secret::Secret;

/// Where everything is that outlives the process.
#[derive(Clone, Debug)]
pub struct Settings {
    pub place: Place,
    /// The folder of what the database does not have yet. On a disk of this machine.
    pub journal: PathBuf,
}

/// Where the data is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file; it is made when the first thing is written, readable by its owner only.
    File(PathBuf),
    Postgres {
        /// `postgresql://user:password@host/database`.
        url: Secret,
        connections: u32,
    },
}

/// Why a URL is none of a database. Never holds the URL: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadUrl {
    #[error("only PostgreSQL and SQLite are known")]
    Scheme,
    #[error("it is not of the form `postgresql://user:password@host:5432/database`")]
    Form,
}

impl Place {
    /// The place that a URL names: `postgresql://...`, or `sqlite:` and a path.
    ///
    /// # Errors
    /// [`BadUrl`]
    pub fn of_url(url: &str, connections: u32) -> Result<Self, BadUrl> {
        if let Some(path) = url.strip_prefix("sqlite:").or_else(|| url.strip_prefix("file:")) {
            let path = path.strip_prefix("//").unwrap_or(path);
            let path = path.split('?').next().filter(|path| !path.is_empty());
            return path.map(|path| Self::File(path.into())).ok_or(BadUrl::Form);
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(BadUrl::Scheme);
        }
        match url.parse::<PgConnectOptions>() {
            Ok(_) => Ok(Self::Postgres { url: Secret::new(url), connections }),
            Err(_) => Err(BadUrl::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_or_a_server() {
        for (url, path) in [
            ("sqlite:///var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:t.db", "t.db"),
            ("file:t.db?mode=rwc", "t.db"),
        ] {
            let Ok(Place::File(found)) = Place::of_url(url, 1) else { panic!("{url}") };
            assert_eq!(found, PathBuf::from(path), "{url}");
        }
        let server = "postgresql://ada:p%40ss@db:5433/llm?sslmode=require&connection_limit=5";
        assert!(matches!(Place::of_url(server, 7), Ok(Place::Postgres { connections: 7, .. })));
        for (url, problem) in [
            ("mysql://db/llm", BadUrl::Scheme),
            ("db/llm", BadUrl::Scheme),
            ("", BadUrl::Scheme),
            ("postgresql://db:port/llm", BadUrl::Form),
            ("sqlite:", BadUrl::Form),
        ] {
            assert_eq!(Place::of_url(url, 1).map(drop), Err(problem), "{url}");
        }
    }
}
