"""What was recovered from a damaged database."""

from __future__ import annotations

import msgspec


class Salvaged(msgspec.Struct, frozen=True):
    """What became of one table. `rows` were read; `lost` of them were not, None when it is not known how many."""

    what: str
    rows: int
    lost: int | None = 0
