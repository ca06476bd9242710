"""The command line that makes an attempt: for executors that hand it to another system."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orchestrator.attempts.files import open_channel
from orchestrator.attempts.package import encode_package
from orchestrator.errors import HOW_TO_SET, ConfigError, NotFound
from orchestrator.executors.base import Attempt, ExecutorContext


class AttemptCommand(Struct, frozen=True):
    """A process that makes an attempt, here or on a machine that has the same files: `arguments`, with `package` as its
    standard input. Started twice, it makes the attempt once: the second process ends without having run anything.

    What it prints before the attempt begins belongs at the end of `errors`; later it writes the attempt's logs itself.
    `environment` is all of it: that of this process, and what the workspace file says of the location.
    """

    arguments: tuple[str, ...]
    package: bytes
    directory: Path
    environment: Mapping[str, str]
    errors: Path


def attempt_command(context: ExecutorContext, attempt: Attempt) -> AttemptCommand:
    """The command of an attempt, whose channel is prepared. Raises OSError, ConfigError and NotFound."""
    spec = context.pool.specs.get(attempt.location)
    if spec is None:
        raise NotFound.named("location", attempt.location, context.pool.specs)
    if spec.missing:
        raise ConfigError(f"Location {spec.name!r} cannot be started:", details=spec.missing, hint=HOW_TO_SET)
    address = context.channels.prepare(attempt.handle)
    return AttemptCommand(
        # -P: a file called orchestrator.py in the user's directory must not take our place.
        arguments=(spec.python, "-P", "-m", "orchestrator.worker.spawned", spec.target(), address, "0", "None"),
        package=encode_package(attempt.package),
        directory=spec.working_dir,
        environment={**os.environ, **spec.environment},
        errors=open_channel(address).output().stderr,
    )
