-- Facts about a tick that older versions wrote into its sentences get columns of their own. Old rows are parsed here, once.

ALTER TABLE ticks ADD COLUMN occurrences BIGINT;
ALTER TABLE ticks ADD COLUMN until TIMESTAMP;
ALTER TABLE ticks ADD COLUMN about_run VARCHAR;

UPDATE ticks SET occurrences = coalesce(
    try_cast(nullif(regexp_extract(skip_reason, ' \((\d+) occurrences, the last of them at [^()]+\)$', 1), '') AS BIGINT), 1);
UPDATE ticks SET until = try_cast(
    nullif(regexp_extract(skip_reason, 'the last of them at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)[^()]*\)$', 1), '') AS TIMESTAMP)
    WHERE occurrences > 1;
UPDATE ticks SET skip_reason = regexp_replace(skip_reason, ' \(\d+ occurrences, the last of them at [^()]+\)$', '')
    WHERE occurrences > 1;

UPDATE ticks SET about_run = nullif(regexp_extract(skip_reason, '^run (\S+) is not over yet \(overlap=', 1), '')
    WHERE kind = 'schedule' AND status = 'SKIPPED' AND duration_s IS NULL;
UPDATE ticks SET skip_reason = regexp_replace(skip_reason, '^run \S+ is not over yet', 'the previous run has not finished')
    WHERE about_run IS NOT NULL;

UPDATE ticks SET about_run = nullif(regexp_extract(coalesce(error, output), '^told of the [A-Z]+ of run (\S+) \(', 1), '')
    WHERE kind = 'run_status_sensor';
UPDATE ticks SET
    error = regexp_replace(error, '^told of the [A-Z]+ of run \S+ \([^\n]*\):\n', ''),
    output = nullif(regexp_replace(output, '^told of the [A-Z]+ of run \S+ \([^\n]*\)\n?', ''), '')
    WHERE kind = 'run_status_sensor' AND about_run IS NOT NULL;

-- The steps that a run was restricted to, as JSON; NULL when it was all of them. Runs of older versions have NULL.
ALTER TABLE runs ADD COLUMN selection VARCHAR;

-- Failed runs that somebody has looked at. Kept apart from runs, which are written again from their journals.
CREATE TABLE acknowledged_runs (
    run_id VARCHAR,
    acknowledged_at TIMESTAMP,
    note VARCHAR
);

-- Alerts that have failed at least once and have not got through: one row for a run-status sensor and the end of a run.
-- A row is deleted when the alert gets through or is acknowledged. `run` is what the sensor is given, as JSON, so that an
-- alert survives the deletion of its run. `status` is PENDING (tried again at next_at) or FAILED (given up).
CREATE TABLE deliveries (
    sensor VARCHAR,
    delivery_key VARCHAR,
    run_id VARCHAR,
    status VARCHAR,
    attempts BIGINT,
    first_failed_at TIMESTAMP,
    last_failed_at TIMESTAMP,
    next_at TIMESTAMP,
    error VARCHAR,
    run VARCHAR
);
