"""What the public tables should say of a run, read off its journal in the plainest way: no state that is carried along,
each column a question about the whole list of events. Shares no code with the program.
"""

import json
from datetime import datetime

FINAL_WORD = {
    "step_reused": "REUSED",
    "step_skipped": "SKIPPED",
    "step_abandoned": "ABANDONED",
    "step_retry_scheduled": "RETRYING",
    "step_failed": "FAILURE",
    "attempt_launched": "RUNNING",
    "attempt_succeeded": "SUCCESS",
    "attempt_canceled": "CANCELED",
    "attempt_revoked": "WAITING",
}
ENDS = ("attempt_succeeded", "attempt_failed", "attempt_canceled", "attempt_died", "attempt_lost")


def instant(text):
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=None)


def parsed(lines):
    """(number, event) for every line that is an event."""
    found = []
    for number, line in enumerate(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        found.append((number, event))
    return found


def last(events, *kinds):
    return next((event for _, event in reversed(events) if event["event"] in kinds), None)


def run_row(record, lines):
    events = parsed(lines)
    status, reason = "STARTING", ""
    for _, event in events:
        match event["event"]:
            case "run_started" | "run_resumed":
                status, reason = ("CANCELING" if status == "CANCELING" else "STARTED"), ""
            case "run_cancel_requested":
                status = "CANCELING"
            case "run_interrupted":
                status, reason = "FAILURE", event["reason"]
            case "run_finished":
                status, reason = event["status"], event.get("reason", "")
    started = next((event["at"] for _, event in events if event["event"] == "run_started"), None)
    turning = last(events, "run_started", "run_resumed", "run_interrupted", "run_finished")
    is_over = turning is not None and turning["event"] in ("run_interrupted", "run_finished")
    return {
        "run_id": record["run_id"],
        "pipeline": record["pipeline"],
        "location": record["location"],
        "mode": record["mode"],
        "status": status,
        "created_at": instant(record["created_at"]),
        "started_at": instant(started),
        "finished_at": instant(turning["at"]) if is_over else None,
        "tags": record.get("tags", {}),
        "trigger_json": record["trigger"],
        "parent_run_id": record.get("parent_run_id"),
        "root_run_id": record.get("root_run_id"),
        "reason": reason,
        "journal_lines": len(lines),
        "journal_offset": sum(len(line) + 1 for line in lines),
        "selection": record.get("selection"),
    }


def step_rows(record, lines):
    events = parsed(lines)
    keys = {event.get("step") for _, event in events if event["event"] in {*FINAL_WORD, *ENDS, "attempt_started"}}
    return {key: step_row(record, key, events) for key in keys}


def step_row(record, key, events):
    own = [(number, event) for number, event in events if event.get("step") == key]
    failed_at = next((number for number, event in own if event["event"] == "step_failed"), None)
    if failed_at is not None:
        own = [(number, event) for number, event in own if number <= failed_at]
    launches = [number for number, event in own if event["event"] == "attempt_launched"]
    since = [(number, event) for number, event in own if launches and number > launches[-1]]
    started, ended = last(since, "attempt_started"), last(since, *ENDS)
    word = last(own, *FINAL_WORD)
    status = FINAL_WORD[word["event"]]
    canceled = any(event["event"] == "run_finished" and event["status"] == "CANCELED" for _, event in events)
    if canceled and status in ("RUNNING", "RETRYING", "WAITING"):
        status = "CANCELED"
    return {
        "run_id": record["run_id"],
        "step": key,
        "status": status,
        "attempts": max((event["attempt"] for _, event in own if event["event"] == "attempt_launched"), default=0),
        "started_at": instant(started["at"]) if started else None,
        "finished_at": instant(ended["at"]) if ended else None,
        "duration_s": seconds(started, ended),
        "error": headline(own[-1][1]["error"]) if failed_at is not None else None,
    }


def seconds(started, ended):
    if ended is None:
        return None
    if "seconds" in ended:
        return ended["seconds"]
    return None if started is None else (instant(ended["at"]) - instant(started["at"])).total_seconds()


def headline(error):
    return f"{error['kind']}: {error['message'].splitlines()[0]}"


def event_rows(record, lines):
    events = dict(parsed(lines))
    return [
        {
            "run_id": record["run_id"],
            "seq": number,
            "occurred_at": instant(events[number]["at"]) if number in events else None,
            "event": events[number]["event"] if number in events else "unreadable",
            "step": events[number].get("step") if number in events else None,
            "attempt": events[number].get("attempt") if number in events else None,
            "body": line.decode(errors="replace"),
        }
        for number, line in enumerate(lines)
    ]


def materialization_rows(record, lines):
    return [
        {
            "id": f"{record['run_id']}-{number}",
            "asset_key": event["asset"],
            "partition_key": event.get("partition"),
            "run_id": record["run_id"],
            "pipeline": record["pipeline"],
            "step": event["step"],
            "materialized_at": instant(event["at"]),
            "description": event.get("description"),
            "metadata": event.get("metadata", {}),
            "tags": event.get("tags", {}),
        }
        for number, event in parsed(lines)
        if event["event"] == "asset_materialized"
    ]
