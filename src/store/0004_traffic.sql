-- Read by SQLite and by PostgreSQL, as the file before.
-- Sums of traffic by steps of time, for overviews. `step` is the length of a step in seconds and `slot` its
-- number since 1970; who or what is not known is the empty text.

CREATE TABLE tollgate_traffic (
    step BIGINT NOT NULL, slot BIGINT NOT NULL, asked TEXT NOT NULL, model_group TEXT NOT NULL,
    provider TEXT NOT NULL, deployment TEXT NOT NULL,
    requests BIGINT NOT NULL, failures BIGINT NOT NULL, timeouts BIGINT NOT NULL, cache_hits BIGINT NOT NULL,
    retries BIGINT NOT NULL, fallbacks BIGINT NOT NULL, fallbacks_succeeded BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, cost_pico BIGINT NOT NULL,
    token_cost_pico BIGINT NOT NULL, saved_pico BIGINT NOT NULL, attempts BIGINT NOT NULL, attempt_failures BIGINT NOT NULL,
    attempt_timeouts BIGINT NOT NULL,
    PRIMARY KEY (step, slot, asked, model_group, provider, deployment));

-- How long successful requests took: `measure` is 0 for the whole, 1 up to the first token; `bucket` is
-- a step of a histogram, of which only those are kept that have something in them.
CREATE TABLE tollgate_traffic_times (
    step BIGINT NOT NULL, slot BIGINT NOT NULL, asked TEXT NOT NULL, model_group TEXT NOT NULL,
    provider TEXT NOT NULL, deployment TEXT NOT NULL, measure BIGINT NOT NULL, bucket BIGINT NOT NULL,
    requests BIGINT NOT NULL, sum_us BIGINT NOT NULL,
    PRIMARY KEY (step, slot, asked, model_group, provider, deployment, measure, bucket));

-- Failed requests by the class of their error.
CREATE TABLE tollgate_traffic_errors (
    step BIGINT NOT NULL, slot BIGINT NOT NULL, model_group TEXT NOT NULL, provider TEXT NOT NULL,
    deployment TEXT NOT NULL, class TEXT NOT NULL, requests BIGINT NOT NULL,
    PRIMARY KEY (step, slot, model_group, provider, deployment, class));

-- The hours of the last days by who paid; `slot` is the number of the hour since 1970. Of older ones the
-- days are in tollgate_spend_daily.
CREATE TABLE tollgate_traffic_payers (
    slot BIGINT NOT NULL, key_hash TEXT NOT NULL, user_id TEXT NOT NULL, team_id TEXT NOT NULL,
    model_group TEXT NOT NULL, provider TEXT NOT NULL,
    requests BIGINT NOT NULL, failures BIGINT NOT NULL, timeouts BIGINT NOT NULL, cache_hits BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cost_pico BIGINT NOT NULL,
    PRIMARY KEY (slot, key_hash, user_id, team_id, model_group, provider));
CREATE INDEX tollgate_traffic_payers_key ON tollgate_traffic_payers (key_hash, slot);
CREATE INDEX tollgate_traffic_payers_user ON tollgate_traffic_payers (user_id, slot);
CREATE INDEX tollgate_traffic_payers_team ON tollgate_traffic_payers (team_id, slot);
