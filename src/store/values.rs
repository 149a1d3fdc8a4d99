//! Rows of values in SQL, with the marks of their parameters.

use std::fmt::Write as _;

use sqlx::AnyConnection;

/// The most parameters of one statement: SQLite takes 32,766, PostgreSQL 65,535.
const PARAMETERS_MAX: usize = 32_000;

/// How a statement marks its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// `?`. To SQLite `$1` is a name, which it looks up among those before it: what thousands of them
    /// cost grows with the square of their number.
    Plain,
    /// `$1`, which is all that PostgreSQL reads.
    Numbered,
}

impl Marks {
    /// Those of the database that a connection leads to.
    pub(super) fn of(connection: &AnyConnection) -> Self {
        if connection.backend_name() == "SQLite" { Self::Plain } else { Self::Numbered }
    }

    /// `(?,?),(?,?)` or `($1,$2),($3,$4)`: the values of so many rows of so many columns.
    pub(super) fn rows(self, rows: usize, columns: usize) -> String {
        let mut sql = String::with_capacity(rows * columns * 6);
        let mut parameter = 0;
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..columns {
                parameter += 1;
                let comma = if column == 0 { "" } else { "," };
                // Writing to a string does not fail.
                let _never = match self {
                    Self::Plain => write!(sql, "{comma}?"),
                    Self::Numbered => write!(sql, "{comma}${parameter}"),
                };
            }
            sql.push(')');
        }
        sql
    }
}

/// How many rows of so many columns fit into one statement.
pub(super) const fn rows_max(columns: usize) -> usize {
    PARAMETERS_MAX / columns
}

/// Rows of so many columns in parts of one statement each. A part has a power of two of rows, so that
/// databases see few different statements, and know them.
pub(super) fn parts<T>(mut rows: &[T], columns: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let part = 1 << rows.len().min(rows_max(columns)).checked_ilog2()?;
        let (first, rest) = rows.split_at_checked(part)?;
        rows = rest;
        Some(first)
    })
}

/// A text as every database takes it: PostgreSQL has no place for the character U+0000, which clients
/// may write into a name.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_few_sizes() {
        let sizes = |rows: usize, columns| {
            parts(&vec![(); rows], columns).map(<[()]>::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(0, 1), [0; 0]);
        assert_eq!(sizes(1, 1), [1]);
        assert_eq!(sizes(500, 19), [256, 128, 64, 32, 16, 4]);
        // No more than a statement takes.
        assert_eq!(sizes(11, 8_000), [4, 4, 2, 1]);
    }

    #[test]
    fn each_value_has_a_mark() {
        assert_eq!(Marks::Numbered.rows(2, 3), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(Marks::Numbered.rows(1, 1), "($1)");
        assert_eq!(Marks::Plain.rows(2, 3), "(?,?,?),(?,?,?)");
    }
}
