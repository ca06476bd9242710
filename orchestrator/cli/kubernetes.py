"""`orchestrator kubernetes`: whether steps can run in a cluster, what is there of ours, and what would be sent."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Json, PipelineArgument, Yes, confirm, group, workspace
from orchestrator.cli.output import painter, print_json, put, say, table, whole
from orchestrator.cli.styles import GREEN, RED

app = group("Check the cluster that steps run in, and look at what is there of them.")


@app.command(epilog="Example: orchestrator kubernetes check")
def check(
    location: Annotated[str | None, typer.Argument(metavar="LOCATION", help="Look into the image of this one.")] = None,
    no_pods: Annotated[bool, typer.Option("--no-pods", help="Start no pod to look into an image.")] = False,
    json: Json = False,
) -> int:
    """Check that the cluster can be reached and lets us work, and what is in the image of every location."""
    from orchestrator.service.cluster_check import Check, check_cluster

    checks: list[Check] = []
    paint = painter()
    with workspace() as found:
        for one in check_cluster(found, location, look_inside=not no_pods):
            checks.append(one)
            if not json:
                put(f"{paint(GREEN, '✓') if one.is_well else paint(RED, '✗')} {one.what}")
                if one.hint:
                    put(f"  {one.hint}")
    if json:
        print_json([whole(one) for one in checks])
    return 0 if all(one.is_well for one in checks) else 1


@app.command(epilog="Example: orchestrator kubernetes manifest flights --step load")
def manifest(
    pipeline: PipelineArgument,
    step: Annotated[str | None, typer.Option(metavar="STEP", help="Which step; by default the first.")] = None,
    mode: Annotated[str | None, typer.Option(metavar="MODE", help="The mode of the run.")] = None,
    json: Json = False,
) -> None:
    """Print what would be sent to the cluster for a step. Sends nothing."""
    from orchestrator.service.cluster import manifests

    with workspace() as found:
        documents = manifests(found, pipeline, mode, step)
    _put_documents(documents, json=json)


@app.command(epilog="Example: orchestrator kubernetes rbac | kubectl apply -f -")
def rbac(json: Json = False) -> None:
    """Print the least role that the owner of runs needs in its namespace."""
    from orchestrator.service.cluster import least_role

    with workspace() as found:
        documents = least_role(found)
    _put_documents(documents, json=json)


@app.command(epilog="Example: orchestrator kubernetes jobs --delete-orphans --yes")
def jobs(
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="Delete what was left of runs that are over or gone.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """List the Jobs of this workspace's runs."""
    from orchestrator.service import cluster

    with workspace() as found:
        listed = cluster.cluster_jobs(found)
        orphans = [one for one in listed if one.is_orphan]
        if delete_orphans:
            if orphans:
                confirm(f"Delete {len(orphans)} Jobs without a run?", yes)
            deleted = cluster.delete_orphans(found, listed)
            if json:
                print_json({"deleted": deleted})
            else:
                put(f"Deleted {len(deleted)} Job{'' if len(deleted) == 1 else 's'}.")
            return
    if json:
        print_json([whole(one) for one in listed])
    elif listed:
        rows = [
            [one.name, one.run_id, one.step, one.attempt, "orphan" if one.is_orphan else one.state] for one in listed
        ]
        put(table(["JOB", "RUN", "STEP", "ATTEMPT", "STATE"], rows))
    else:
        say("No Jobs of this workspace.")


def _put_documents(documents: list[dict[str, object]], *, json: bool) -> None:
    import yaml

    if json:
        print_json(documents)
    else:
        put("---\n".join(yaml.safe_dump(one, sort_keys=False) for one in documents), end="")
