-- Read by SQLite and by PostgreSQL: only words that both know, and no defaults that differ.
-- The names begin alike, because the database may be shared with another program.
-- Records are kept whole as JSON text; beside it stands what they are found and listed by.

CREATE TABLE tollgate_keys (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);
CREATE UNIQUE INDEX tollgate_keys_alias ON tollgate_keys (alias);
CREATE INDEX tollgate_keys_user ON tollgate_keys (user_id);
CREATE INDEX tollgate_keys_team ON tollgate_keys (team_id);

CREATE TABLE tollgate_users (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);
CREATE UNIQUE INDEX tollgate_users_alias ON tollgate_users (alias);

CREATE TABLE tollgate_teams (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);
CREATE INDEX tollgate_teams_alias ON tollgate_teams (alias);

CREATE TABLE tollgate_organisations (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);

CREATE TABLE tollgate_end_users (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);

CREATE TABLE tollgate_budgets (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);

CREATE TABLE tollgate_tags (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);

CREATE TABLE tollgate_models (
    id TEXT PRIMARY KEY, alias TEXT, user_id TEXT, team_id TEXT, organisation_id TEXT,
    record TEXT NOT NULL);

-- One row. Whoever changes records takes it first, so that revisions become visible in their order.
CREATE TABLE tollgate_latest_revision (id BIGINT PRIMARY KEY, revision BIGINT NOT NULL);
INSERT INTO tollgate_latest_revision (id, revision) VALUES (1, 0);

CREATE TABLE tollgate_changes (revision BIGINT PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL);

CREATE TABLE tollgate_audit_log (
    id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, changed_by TEXT NOT NULL, by_key TEXT,
    action TEXT NOT NULL, kind TEXT NOT NULL, record_id TEXT NOT NULL, before TEXT, after TEXT);
CREATE INDEX tollgate_audit_log_at ON tollgate_audit_log (at_us);
CREATE INDEX tollgate_audit_log_record ON tollgate_audit_log (kind, record_id);

-- One row for each request. Times are microseconds since 1970, amounts pico-dollars. `event` is the
-- whole of it as JSON; the columns are what it is found by and what SQL of operators asks for.
CREATE TABLE tollgate_spend_log (
    request_id TEXT PRIMARY KEY, call_id TEXT, started_us BIGINT NOT NULL, duration_us BIGINT NOT NULL,
    key_hash TEXT NOT NULL, user_id TEXT, team_id TEXT, organisation_id TEXT, end_user TEXT,
    model_group TEXT, provider TEXT, deployment TEXT, status BIGINT NOT NULL, error TEXT,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cost_pico BIGINT NOT NULL,
    tags TEXT NOT NULL, event TEXT NOT NULL);
CREATE INDEX tollgate_spend_log_started ON tollgate_spend_log (started_us);
CREATE INDEX tollgate_spend_log_call ON tollgate_spend_log (call_id);
CREATE INDEX tollgate_spend_log_key ON tollgate_spend_log (key_hash, started_us);
CREATE INDEX tollgate_spend_log_user ON tollgate_spend_log (user_id, started_us);
CREATE INDEX tollgate_spend_log_team ON tollgate_spend_log (team_id, started_us);
CREATE INDEX tollgate_spend_log_end_user ON tollgate_spend_log (end_user, started_us);

-- What everybody who pays has spent in each quarter of an hour (quarters since 1970); the quarter -1
-- is the sum of all.
CREATE TABLE tollgate_spend_sums (
    scope TEXT NOT NULL, id TEXT NOT NULL, quarter BIGINT NOT NULL, pico BIGINT NOT NULL,
    PRIMARY KEY (scope, id, quarter));

-- What reports read. Days are those of UTC; who is not named is the empty text.
CREATE TABLE tollgate_spend_daily (
    day TEXT NOT NULL, key_hash TEXT NOT NULL, user_id TEXT NOT NULL, team_id TEXT NOT NULL,
    organisation_id TEXT NOT NULL, model_group TEXT NOT NULL, provider TEXT NOT NULL,
    requests BIGINT NOT NULL, failures BIGINT NOT NULL, cache_hits BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_pico BIGINT NOT NULL, duration_us BIGINT NOT NULL,
    PRIMARY KEY (day, key_hash, user_id, team_id, organisation_id, model_group, provider));

-- The same by tag and by end user, of which a request has several, or there are very many.
CREATE TABLE tollgate_spend_daily_by (
    day TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,
    requests BIGINT NOT NULL, failures BIGINT NOT NULL, cache_hits BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_pico BIGINT NOT NULL, duration_us BIGINT NOT NULL,
    PRIMARY KEY (day, scope, id));
