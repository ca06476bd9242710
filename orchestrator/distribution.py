"""Names the distribution that this package is installed as, and says how to install the same one elsewhere.

The import name and the command are `orchestrator`. The distribution is not: that name belongs to an unrelated project
on the package index. Every hint that says "install" comes from here, so that none installs a stranger's package.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestrator._version import __version__

DISTRIBUTION = "orchestrator-data"


def install_command(python: str, extra: str = "") -> str:
    """The command that installs what runs here into the environment of another interpreter, with an extra if named."""
    return f"{shlex.quote(python)} -m pip install {shlex.quote(requirement(_origin(), extra))}"


def requirement(origin: str | None, extra: str = "") -> str:
    """What to give to pip: where the running package was installed from (a path or a URL), or its name and version if
    that was the package index (`origin` None)."""
    extras = f"[{extra}]" if extra else ""
    if origin is None:
        return f"{DISTRIBUTION}{extras}=={__version__}"
    if "://" in origin:
        return f"{DISTRIBUTION}{extras} @ {origin}"
    return f"{origin}{extras}"


def origin_of(direct_url: str | None) -> str | None:
    """The path or URL in a direct_url.json (PEP 610), which pip writes unless it installs from a package index."""
    if not direct_url:
        return None
    said = json.loads(direct_url)
    url = str(said["url"])
    if url.startswith("file://"):
        return unquote(urlsplit(url).path)
    if "vcs_info" in said:
        return f"{said['vcs_info']['vcs']}+{url}@{said['vcs_info']['commit_id']}"
    return url


def _origin() -> str | None:
    """Where the running package comes from; None for the package index."""
    from importlib.metadata import PackageNotFoundError, distribution  # takes 15 ms, and only errors need it

    try:
        installed = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        # It runs from a checkout that is on the path without being installed.
        return str(Path(__file__).resolve().parent.parent)
    return origin_of(installed.read_text("direct_url.json"))
