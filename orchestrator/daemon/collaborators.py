"""What the reconcilers of one daemon share."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.catalog.session import Store
from orchestrator.daemon.evaluations import Evaluations
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.registry import Registry
from orchestrator.daemon.write_buffer import WriteBuffer
from orchestrator.service.workspace import Workspace


class Collaborators(Struct, frozen=True):
    """One object, so that a reconciler names what it uses and not how it got it."""

    workspace: Workspace
    store: Store
    log: DaemonLog
    locations: Locations
    buffer: WriteBuffer
    registry: Registry
    evaluations: Evaluations
