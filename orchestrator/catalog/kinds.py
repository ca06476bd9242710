"""Declares what an operation does to the database: reads, writes or slow. The server chooses a thread by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

# reads: a look at a few tables. writes: changes something, in a moment. slow: reads much, or copies, for as long as
# that takes, and changes nothing in the database itself. question: slow, with unknown needs.
Kind = Literal["reads", "writes", "slow", "question"]

_KINDS: dict[Any, Kind] = {}
F = TypeVar("F", bound=Callable[..., Any])


def reads(operation: F) -> F:
    """Declares an operation that only reads, and is over soon."""
    _KINDS[operation] = "reads"
    return operation


def writes(operation: F) -> F:
    """Declares an operation that changes something. Others wait for it, so it must be over soon."""
    _KINDS[operation] = "writes"
    return operation


def slow(operation: F) -> F:
    """Declares an operation that may take minutes and changes no table."""
    _KINDS[operation] = "slow"
    return operation


def question(operation: F) -> F:
    """Declares an operation that carries out what a person has written: slow, and to be kept within bounds."""
    _KINDS[operation] = "question"
    return operation


def kind_of(operation: Any) -> Kind | None:
    """What was declared; None for what is not an operation."""
    return _KINDS.get(operation)
