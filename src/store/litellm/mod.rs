//! Brings over what a LiteLLM proxy keeps in its PostgreSQL database: budgets, organisations, teams,
//! users, keys, customers and tags, and what each of them has spent.
//!
//! ```text
//! Litellm (mod.rs)   its database, read row by row as JSON
//! row.rs             the fields of a row, whatever the age of the schema
//! records.rs         rows as records of ours; pure
//! report.rs          what was brought over, and what could not be
//! import.rs          writes records and sums, so that a second run changes nothing
//! ```
//!
//! Rows are asked for as JSON objects, so a column that an older LiteLLM did not have yet is a field
//! that is not there, and needs no other SQL.

mod import;
mod records;
mod report;
mod row;

use std::str::FromStr as _;

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool, Row as _};

pub use self::import::{Import, bring_over};
pub use self::report::{Report, Tally};
use self::row::Row;
use super::failed;
use crate::keys::StoreError;
use crate::secret::Secret;

/// What a URL may say that the driver knows. LiteLLM's driver has words of its own
/// (`connection_limit`, `pool_timeout`, `pgbouncer`), which mean nothing here.
const KNOWN: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "ssl-mode",
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
];

/// One of LiteLLM's tables: its name, and the columns that its rows are read in the order of.
#[derive(Clone, Copy, Debug)]
struct Table {
    name: &'static str,
    order: &'static str,
}

/// The database of a LiteLLM proxy. It is only read.
#[derive(Debug)]
pub struct Litellm {
    pool: PgPool,
    /// Host, port and database: what may be shown of the URL.
    place: String,
}

impl Litellm {
    /// Connects.
    ///
    /// # Errors
    /// If the URL cannot be read or the server does not let us in. The message holds no password.
    pub async fn open(url: &Secret) -> Result<Self, StoreError> {
        let (url, schema) = without_foreign_words(url.expose());
        let unreadable = || {
            let form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
            StoreError::Broken(format!("the URL of LiteLLM's database must be {form}"))
        };
        let scheme = url.split("://").next().unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(unreadable());
        }
        let mut options = PgConnectOptions::from_str(&url).map_err(|_| unreadable())?;
        if let Some(schema) = &schema {
            options = options.options([("search_path", schema)]);
        }
        let host = options.get_host().to_owned();
        let database = options.get_database().unwrap_or_default();
        let place = format!("{host}:{}/{database}", options.get_port());
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(super::PATIENCE);
        let pool = pool.connect_with(options.disable_statement_logging()).await;
        Ok(Self { pool: pool.map_err(|error| failed(&error))?, place })
    }

    /// `host:port/database`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether LiteLLM has made this table.
    async fn has(&self, table: Table) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("\"{}\"", table.name))
            .fetch_one(&self.pool)
            .await;
        row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))
    }

    /// The rows as they come; none of a table that is not there.
    async fn rows(
        &self,
        table: Table,
    ) -> Result<impl Stream<Item = Result<Row, StoreError>> + Unpin + '_, StoreError> {
        let rows = self.has(table).await?.then(|| {
            // Names of ours, in the quotes that keep their capitals.
            let statement = AssertSqlSafe(format!(
                "SELECT to_jsonb(it)::text FROM \"{}\" it ORDER BY {}",
                table.name, table.order
            ));
            sqlx::query(statement).fetch(&self.pool).map_err(|error| failed(&error)).and_then(
                async |row| {
                    let text: String = row.try_get(0).map_err(|error| failed(&error))?;
                    match serde_json::from_str(&text) {
                        Ok(Value::Object(fields)) => Ok(Row::new(fields)),
                        Ok(_) | Err(_) => Err(StoreError::Broken("a row is no object".into())),
                    }
                },
            )
        });
        Ok(futures::stream::iter(rows).map(Ok).try_flatten().boxed())
    }
}

/// The URL without what only LiteLLM's driver understands, and the schema that it names.
fn without_foreign_words(url: &str) -> (String, Option<String>) {
    let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (mut kept, mut schema) = (Vec::new(), None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "schema" {
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            schema = Some(value.into_owned());
        } else if KNOWN.contains(&name) {
            kept.push(pair);
        }
    }
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    (format!("{start}{query}"), schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_another_driver_are_left_out_of_the_url() {
        let url = "postgresql://u:p@h:1/d?connection_limit=5&sslmode=require&schema=lite&pgbouncer";
        let (url, schema) = without_foreign_words(url);
        assert_eq!(url, "postgresql://u:p@h:1/d?sslmode=require");
        assert_eq!(schema.as_deref(), Some("lite"));
        let plain = "postgresql://u:p@h/d";
        assert_eq!(without_foreign_words(plain), (plain.to_owned(), None));
    }
}
