"""Run ids, short enough to read out and random from the first character; and what names are allowed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

# Crockford's base 32, lower case: no i, l, o or u, so nothing looks like something else. Valid in Kubernetes names.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# 60 bits: among a million runs, one chance in two million that any two share an id.
LENGTH = 12
RUN_ID = re.compile(f"[{_ALPHABET}]{{{LENGTH}}}")

# What a step, output, resource or pipeline may be called: it becomes a file name, part of a Kubernetes name and a
# word in a selection query, so nothing that any of them treats specially.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAPPING_KEY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,118}[A-Za-z0-9_-])?")


# From the operating system: a program that seeds `random` must not make run ids repeat.
system_bits = random.SystemRandom().getrandbits


def new_run_id(random_bits: Callable[[int], int] = system_bits) -> str:
    """A fresh run id from 60 random bits."""
    bits = random_bits(5 * LENGTH)
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 5 * LENGTH, 5))
