-- Read by SQLite and by PostgreSQL, as the files before.
-- What failed is looked for among very many that did not. The condition stands in `reports.rs` in the same words.

CREATE INDEX tollgate_spend_log_failures ON tollgate_spend_log (started_us)
    WHERE status >= 400 OR error IS NOT NULL;
