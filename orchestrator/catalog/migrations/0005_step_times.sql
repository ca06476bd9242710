-- Older versions left out when a step started, and when and after how long an attempt ended that did not succeed.
-- All of it is in the events: those of the last attempt, the ones after the step's failure left out (they belong to an
-- attempt that only runs failure hooks).
UPDATE steps SET
    started_at = found.started_at,
    finished_at = found.finished_at,
    duration_s = coalesce(found.seconds, date_diff('microseconds', found.started_at, found.finished_at) / 1e6)
FROM (
    WITH failed AS (
        SELECT run_id, step, min(seq) AS seq FROM events WHERE event = 'step_failed' GROUP BY ALL
    ), own AS (
        SELECT events.* FROM events LEFT JOIN failed USING (run_id, step)
        WHERE step IS NOT NULL AND (failed.seq IS NULL OR events.seq <= failed.seq)
    ), launched AS (
        SELECT run_id, step, max(seq) AS seq FROM own WHERE event = 'attempt_launched' GROUP BY ALL
    ), since AS (
        SELECT own.* FROM own JOIN launched USING (run_id, step) WHERE own.seq > launched.seq
    ), started AS (
        SELECT run_id, step, arg_max(occurred_at, seq) AS started_at FROM since WHERE event = 'attempt_started'
        GROUP BY ALL
    ), ended AS (
        SELECT run_id, step, arg_max(occurred_at, seq) AS finished_at,
            nullif(arg_max(coalesce(CAST(json_extract_string(body, '$.seconds') AS DOUBLE), -1), seq), -1) AS seconds
        FROM since
        WHERE event IN ('attempt_succeeded', 'attempt_failed', 'attempt_canceled', 'attempt_died', 'attempt_lost')
        GROUP BY ALL
    )
    SELECT * FROM launched LEFT JOIN started USING (run_id, step) LEFT JOIN ended USING (run_id, step)
) AS found
WHERE steps.run_id = found.run_id AND steps.step = found.step;
