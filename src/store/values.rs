//! Rows of values in SQL, with the numbers of their parameters.
//!
//! The builder of the SQL library writes `?` for either database, which PostgreSQL does not read;
//! both read `$1`.

use std::fmt::Write as _;

/// The most parameters of one statement: SQLite takes 32,766, PostgreSQL 65,535.
const PARAMETERS_MAX: usize = 32_000;

/// `($1,$2),($3,$4)`: the values of so many rows of so many columns.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    let mut sql = String::with_capacity(rows * columns * 6);
    let mut parameter = 0;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            parameter += 1;
            let comma = if column == 0 { "" } else { "," };
            // Writing to a string does not fail.
            let _never = write!(sql, "{comma}${parameter}");
        }
        sql.push(')');
    }
    sql
}

/// How many rows of so many columns fit into one statement.
pub(super) const fn rows_max(columns: usize) -> usize {
    PARAMETERS_MAX / columns
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
    fn parameters_are_numbered_through() {
        assert_eq!(rows(2, 3), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(rows(1, 1), "($1)");
    }
}
