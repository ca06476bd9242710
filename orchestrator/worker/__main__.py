"""Entry point of the warm location process: `python -m orchestrator.worker TARGET SOCKET WAKE SIDE`.

TARGET is a `Target` as JSON; SOCKET, WAKE and SIDE are numbers of inherited file descriptors;
over SIDE the parent hands down one end of the connection of each evaluator it wants.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from orchestrator.protocol.messages import ToLocation
from orchestrator.protocol.wire import Channel
from orchestrator.worker.attempt import Wake
from orchestrator.worker.debugger import refuse_breakpoints
from orchestrator.worker.loading import Target
from orchestrator.worker.output import install_streams
from orchestrator.worker.server import LocationServer


def main() -> None:
    """Serves until the parent is gone."""
    target = Target(**json.loads(sys.argv[1]))
    connection = socket.socket(fileno=int(sys.argv[2]))
    wake = int(sys.argv[3])
    side = socket.socket(fileno=int(sys.argv[4]))
    for descriptor in (connection.fileno(), wake, side.fileno()):
        os.set_inheritable(descriptor, False)
    os.set_blocking(wake, False)
    install_streams()
    refuse_breakpoints()
    sys.argv = [target.file or str(target.module)]
    channel: Channel[ToLocation] = Channel(connection, ToLocation)
    LocationServer(target, channel, Wake(wake), side).serve()


if __name__ == "__main__":
    main()
