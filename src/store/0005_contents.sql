-- What was said in requests, where it is to be kept: beside the rows, and often not as long.
CREATE TABLE tollgate_contents (
    request_id TEXT PRIMARY KEY,
    started_us BIGINT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT
);
CREATE INDEX tollgate_contents_started ON tollgate_contents (started_us);
