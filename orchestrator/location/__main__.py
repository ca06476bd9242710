"""Entry point of the warm location process: `python -m orchestrator.location TARGET SOCKET WAKE`.

TARGET is a `Target` as JSON; SOCKET and WAKE are numbers of inherited file descriptors.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from orchestrator.location.attempt import Wake
from orchestrator.location.loading import Target
from orchestrator.location.server import LocationServer
from orchestrator.messages import ToLocation
from orchestrator.wire import Channel


def main() -> None:
    """Serves until the parent is gone."""
    target = Target(**json.loads(sys.argv[1]))
    connection = socket.socket(fileno=int(sys.argv[2]))
    wake = int(sys.argv[3])
    for descriptor in (connection.fileno(), wake):
        os.set_inheritable(descriptor, False)
    os.set_blocking(wake, False)
    sys.argv = [target.file or str(target.module)]
    channel: Channel[ToLocation] = Channel(connection, ToLocation)
    LocationServer(target, channel, Wake(wake)).serve()


if __name__ == "__main__":
    main()
