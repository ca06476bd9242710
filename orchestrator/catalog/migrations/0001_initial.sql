-- Registry and index. No foreign keys (DuckDB turns updates of parents into delete and insert, and then refuses
-- them), no secondary indexes, primary keys only where they carry correctness. Instants are UTC without a zone.

CREATE TABLE meta (name VARCHAR, value VARCHAR);

-- One row a run: the index over run.json and the journal, and the registry of runs that are only queued.
CREATE TABLE runs (
    run_id VARCHAR,
    pipeline VARCHAR,
    location VARCHAR,
    mode VARCHAR,
    status VARCHAR,
    created_at TIMESTAMP,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    tags VARCHAR,
    trigger_json VARCHAR,
    parent_run_id VARCHAR,
    root_run_id VARCHAR,
    reason VARCHAR,
    journal_lines BIGINT,
    journal_offset BIGINT
);

-- The lines of the journals. seq counts from 0 within a run.
CREATE TABLE events (
    run_id VARCHAR,
    seq BIGINT,
    occurred_at TIMESTAMP,
    event VARCHAR,
    step VARCHAR,
    attempt INTEGER,
    body VARCHAR
);

-- What the events say of each step so far.
CREATE TABLE steps (
    run_id VARCHAR,
    step VARCHAR,
    status VARCHAR,
    attempts INTEGER,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    duration_s DOUBLE,
    error VARCHAR
);

-- ordinal counts up in the order of ingestion, over all runs: what a cursor over an asset's history compares.
CREATE TABLE materializations (
    id VARCHAR,
    ordinal BIGINT,
    asset_key VARCHAR,
    partition_key VARCHAR,
    run_id VARCHAR,
    pipeline VARCHAR,
    step VARCHAR,
    materialized_at TIMESTAMP,
    description VARCHAR,
    metadata VARCHAR,
    tags VARCHAR
);

-- Assets that were wiped from the catalog, and when: a rebuild must not bring their history back.
CREATE TABLE wiped_assets (asset_key VARCHAR, wiped_at TIMESTAMP);
