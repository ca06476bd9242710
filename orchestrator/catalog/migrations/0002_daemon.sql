-- What the daemon remembers. Ids of instigators (schedules and sensors) are location/name.

CREATE TABLE instigators (
    id VARCHAR,
    body VARCHAR
);

-- One row an evaluation, or an occurrence that was not evaluated.
CREATE TABLE ticks (
    tick_id VARCHAR,
    instigator VARCHAR,
    kind VARCHAR,
    status VARCHAR,
    occurred_at TIMESTAMP,
    scheduled_at TIMESTAMP,
    duration_s DOUBLE,
    run_ids VARCHAR,
    run_keys VARCHAR,
    skip_reason VARCHAR,
    error VARCHAR,
    cursor_after VARCHAR,
    output VARCHAR
);

-- What was asked for once and is never to be asked for again: run keys of sensors, occurrences of schedules. In a table
-- of their own, so that deleting or repeating a run never touches them. The key carries correctness.
CREATE TABLE run_keys (
    instigator VARCHAR,
    run_key VARCHAR,
    run_id VARCHAR,
    PRIMARY KEY (instigator, run_key)
);

-- Runs that are only queued, or that were taken from the queue a moment ago: all that is needed to begin them.
CREATE TABLE queue (
    run_id VARCHAR,
    record VARCHAR,
    plan_id VARCHAR,
    not_before TIMESTAMP
);

CREATE TABLE plans (
    plan_id VARCHAR,
    body VARCHAR
);

-- Every end of a run, in the order in which they became known. A run that is resumed ends again.
CREATE TABLE run_endings (
    ordinal BIGINT,
    run_id VARCHAR,
    status VARCHAR,
    finished_at TIMESTAMP
);
