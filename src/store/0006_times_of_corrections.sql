-- When sums were corrected and by how much: a budget's period may begin within a quarter of an hour.
ALTER TABLE tollgate_corrections ADD COLUMN at_us BIGINT;
ALTER TABLE tollgate_corrections ADD COLUMN pico BIGINT;
CREATE INDEX tollgate_corrections_at ON tollgate_corrections (at_us);
