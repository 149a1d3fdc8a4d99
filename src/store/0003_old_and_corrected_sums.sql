-- Sums of quarters of an hour are removed when they are old.
CREATE INDEX tollgate_spend_sums_quarter ON tollgate_spend_sums (quarter);

-- Whose sums were corrected by other means than requests: gateways that know them ask again.
CREATE TABLE tollgate_corrections (
    revision BIGINT PRIMARY KEY, scope TEXT NOT NULL, id TEXT NOT NULL);
