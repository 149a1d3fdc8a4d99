//! Where records and spend are kept: an SQLite file, or PostgreSQL where several gateways share them.
//!
//! ```text
//! Settings (place.rs)  where all of it is
//! Database (mod.rs)   how it is opened, and what its failures mean
//! Store (handle.rs)   the same for callers on other runtimes than the one that drives it
//! records.rs          the directory of keys, users, teams, ...: implements `keys::Directory`
//! ledger.rs           rows and sums of what was spent: implements `spend::Ledger`
//! reports.rs          what the ledger answers
//! contents.rs         what was said in requests, where it is kept
//! notices.rs          what people were told of budgets: implements `admission::Notices`
//! corrections.rs      whose sums were corrected: heard of by all gateways
//! traffic.rs          sums of traffic by steps of time
//! values.rs           rows of values in SQL
//! litellm/             what a LiteLLM proxy keeps, brought over
//! redis/              counters that gateways share: implements `admission::Counters`
//! Journal (journal.rs) what is on disk before the database has it
//! ```
//!
//! The same SQL is read by both: see `0001_records_and_spend.sql`. Nothing here is on the path of a
//! request; what requests need of it is kept in memory by those who ask.

mod contents;
mod corrections;
mod handle;
pub mod journal;
mod ledger;
pub mod litellm;
mod notices;
mod place;
mod quarter;
mod records;
pub mod redis;
mod reports;
mod traffic;
mod values;

use std::fs::File;
use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, ConnectOptions as _, Executor as _, Transaction};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

pub use self::handle::Store;
pub use self::place::{BadUrl, Place, Settings};
use crate::keys::StoreError;

/// How long one operation may take, waiting for a connection included.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a connection to a server, within that: one that is refused is tried again all the time.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long a connection may be idle before it is closed.
const IDLE: Duration = Duration::from_secs(300);
/// SQLite has one writer; further connections only read.
const SQLITE_CONNECTIONS: u32 = 4;
/// How often a process that waits for another to make the schema looks again.
const SCHEMA_TICK: Duration = Duration::from_millis(5);

const SCHEMA: &[(i64, &str, &str)] = &[
    (1, "records and spend", include_str!("0001_records_and_spend.sql")),
    (2, "notices", include_str!("0002_notices.sql")),
    (3, "old and corrected sums", include_str!("0003_old_and_corrected_sums.sql")),
    (4, "sums of traffic", include_str!("0004_traffic.sql")),
    (5, "contents", include_str!("0005_contents.sql")),
    (6, "times of corrections", include_str!("0006_times_of_corrections.sql")),
    (7, "failures", include_str!("0007_failures.sql")),
];

/// The database. Opened, and brought to the present schema, when it is first used: a gateway starts
/// without it, and finds it again when it was away.
#[derive(Debug)]
pub struct Database {
    place: Place,
    pool: OnceCell<AnyPool>,
    /// Held by whoever writes to SQLite, so that nobody waits inside of it.
    writer: Mutex<()>,
    /// The hour since 1970 in which sums of short steps were last removed.
    tidied: AtomicI64,
}

impl Database {
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, pool: OnceCell::new(), writer: Mutex::new(()), tidied: AtomicI64::new(0) }
    }

    /// Whether there is anything to read: a file that was never written to is not made by a look.
    fn is_made(&self) -> bool {
        match &self.place {
            Place::File(path) => self.pool.initialized() || path.exists(),
            Place::Postgres { .. } => true,
        }
    }

    /// Whether an hour has begun since this was last asked.
    fn is_a_new_hour(&self) -> bool {
        let hour = jiff::Timestamp::now().as_second() / 3_600;
        self.tidied.swap(hour, Ordering::Relaxed) != hour
    }

    /// Asks the database for nothing, to see that it answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if !self.is_made() {
            return Ok(());
        }
        patiently(async {
            let pool = self.pool().await?;
            pool.execute("SELECT 1").await.map(drop).map_err(|error| failed(&error))
        })
        .await
    }

    async fn pool(&self) -> Result<&AnyPool, StoreError> {
        self.pool.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<AnyPool, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let pool = AnyPoolOptions::new().acquire_timeout(PATIENCE).idle_timeout(IDLE);
        // PostgreSQL has locks of its own for this, which the migrator takes.
        let _alone = match &self.place {
            Place::File(path) => Some(alone(path).await?),
            Place::Postgres { .. } => None,
        };
        let (url, pool) = match &self.place {
            Place::File(path) => {
                private(path)?;
                let url = format!("sqlite://{}?mode=rwc", escaped(&path.to_string_lossy()));
                let pool = pool.max_connections(SQLITE_CONNECTIONS);
                let pool = pool.after_connect(|connection, _| {
                    Box::pin(async move {
                        // A commit is on the disk: the journal lets go of it then.
                        let pragmas = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                                       PRAGMA synchronous = FULL";
                        connection.execute(pragmas).await.map(drop)
                    })
                });
                (url, pool)
            }
            Place::Postgres { url, connections } => {
                let pool = pool.acquire_timeout(CONNECT_MAX);
                (url.expose().to_owned(), pool.max_connections((*connections).max(1)))
            }
        };
        // The text of the error may hold the URL, and with it the password.
        let options: AnyConnectOptions = url
            .parse()
            .map_err(|_| StoreError::Broken("the URL of the database cannot be read".into()))?;
        let pool = pool.connect_with(options.disable_statement_logging()).await;
        let pool = pool.map_err(|error| failed(&error))?;
        schema().run(&pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => failed(&error),
            sqlx::migrate::MigrateError::VersionMissing(version) => StoreError::Broken(format!(
                "it was written by a later version of Tollgate (schema {version})"
            )),
            other => {
                StoreError::Broken(format!("its schema cannot be brought up to date: {other}"))
            }
        })?;
        Ok(pool)
    }

    /// Begins to write. Of SQLite's writers one waits for another here.
    async fn write(
        &self,
    ) -> Result<(Transaction<'static, Any>, Option<MutexGuard<'_, ()>>), StoreError> {
        let pool = self.pool().await?;
        let begun = match &self.place {
            Place::File(_) => {
                let turn = self.writer.lock().await;
                // At once as a writer: one that reads first could find that another was faster.
                (pool.begin_with("BEGIN IMMEDIATE").await, Some(turn))
            }
            Place::Postgres { .. } => (pool.begin().await, None),
        };
        match begun {
            (Ok(transaction), turn) => Ok((transaction, turn)),
            (Err(error), _) => Err(failed(&error)),
        }
    }
}

/// Ends an operation that takes too long.
async fn patiently<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let done = tokio::time::timeout(PATIENCE, operation).await;
    done.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!("it did not answer within {} s", PATIENCE.as_secs())))
    })
}

fn schema() -> Migrator {
    let migrations = SCHEMA.iter().map(|(version, description, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name("tollgate_migrations");
    migrator
}

/// Makes the file, so that nobody else can read it. One that is there is left closed: SQLite's locks
/// are those of the process, and closing a file lets go of them.
fn private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    match options.append(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unavailable(path, &error)),
    }
}

/// Waits until no other process opens the file for the first time or changes its schema: SQLite
/// refuses both to the second one instead of letting it wait.
async fn alone(path: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let lock = path.with_extension("lock");
    let opened = || {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        File::options().append(true).create(true).mode(0o600).open(&lock)
    };
    let file = opened().map_err(|error| unavailable(&lock, &error))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                tokio::time::sleep(SCHEMA_TICK).await;
            }
            Err(error) => return Err(unavailable(&lock, &error.into())),
        }
    }
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// A path as it may stand in a URL.
fn escaped(path: &str) -> String {
    const SPECIAL: &percent_encoding::AsciiSet =
        &percent_encoding::CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');
    percent_encoding::utf8_percent_encode(path, SPECIAL).to_string()
}

/// What a failure of the database means to those who asked.
fn failed(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            StoreError::Conflict(error.message().to_owned())
        }
        sqlx::Error::Database(error) if error.code().is_some_and(|code| passes(&code)) => {
            StoreError::Unavailable(error.message().to_owned())
        }
        sqlx::Error::Database(error) if error.code().is_some_and(|code| refuses(&code)) => {
            StoreError::Refused(error.message().to_owned())
        }
        sqlx::Error::Database(error) => StoreError::Broken(error.message().to_owned()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Broken(other.to_string()),
    }
}

/// Codes of failures that pass by themselves: of PostgreSQL, connections (class 08), resources (53),
/// an operator's intervention (57), deadlocks and conflicts (40); of SQLite, that it is busy or
/// locked (5, 6), that the disk is full or fails (13, 10), that the file cannot be opened (14).
fn passes(code: &str) -> bool {
    let is_postgres = code.len() == 5;
    match code.get(..2) {
        Some("08" | "53" | "57" | "40") if is_postgres => true,
        _ if is_postgres => false,
        // The extended codes of SQLite have theirs in the lowest byte.
        _ => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)),
    }
}

/// Codes of failures that lie in the values of a row: of PostgreSQL, data exceptions (class 22), broken
/// constraints (23), limits (54); of SQLite, constraints, sizes and types (19, 18, 20).
fn refuses(code: &str) -> bool {
    match code.get(..2) {
        Some("22" | "23" | "54") if code.len() == 5 => true,
        _ if code.len() == 5 => false,
        _ => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 18..=20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_refused_is_told_from_a_database_that_fails() {
        for code in ["22021", "22003", "23514", "54000", "19", "275", "18", "20"] {
            assert!(refuses(code) && !passes(code), "{code}");
        }
        for code in ["42P01", "25006", "57P01", "1", "5", "8", "", "x"] {
            assert!(!refuses(code), "{code}");
        }
    }

    #[test]
    fn failures_that_pass_are_told_from_those_that_stay() {
        for code in ["57P01", "08006", "40001", "40P01", "53300", "5", "261", "14", "13"] {
            assert!(passes(code), "{code}");
        }
        for code in ["42601", "23505", "1", "19", "2067", "", "x"] {
            assert!(!passes(code), "{code}");
        }
    }

    #[test]
    fn a_path_of_any_letters_is_a_url() {
        assert_eq!(escaped("/a b/50%?#.db"), "/a%20b/50%25%3F%23.db");
    }
}
