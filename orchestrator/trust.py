"""Whether a file or directory can be trusted: who owns it, and who else may change it.

A workspace file runs code, and a state directory holds pickles, so both are as good as programs. `objection` decides
from facts; `facts_of` and `my_identity` look at the system.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Facts(Struct, frozen=True):
    """Who owns a path, and who may change it."""

    path: Path
    owner: int
    group: int
    mode: int
    has_private_group: bool = False


class Identity(Struct, frozen=True):
    """Who we are. `also` are the users whose files are as good as ours."""

    uid: int
    also: frozenset[int] = frozenset({0})

    def trusts(self, owner: int) -> bool:
        return owner == self.uid or owner in self.also


def objection(facts: Facts, me: Identity) -> str | None:
    """What is wrong with a file or directory that should be ours alone to change; None if nothing is."""
    if not me.trusts(facts.owner):
        return f"{facts.path} belongs to {user_name(facts.owner)}"
    if facts.mode & stat.S_IWOTH and not _is_sticky(facts):
        return f"{facts.path} can be changed by every user (mode {stat.S_IMODE(facts.mode):04o})"
    if facts.mode & stat.S_IWGRP and not facts.has_private_group and not _is_sticky(facts):
        return f"{facts.path} can be changed by the group {group_name(facts.group)}"
    return None


def objection_to_ancestor(facts: Facts) -> str | None:
    """What is wrong with a directory further up: a user who may change it can replace what is below."""
    if facts.mode & stat.S_IWOTH and not _is_sticky(facts):
        return f"{facts.path} can be changed by every user (mode {stat.S_IMODE(facts.mode):04o})"
    return None


def objection_to_file(path: Path, me: Identity) -> str | None:
    """Why a file is not to be trusted, its directories included; None if it is."""
    real = path.resolve()
    for one in (path, real):
        found = objection(facts_of(one), me) or objection(facts_of(one.parent), me)
        if found is not None:
            return found
    ancestors = (objection_to_ancestor(facts_of(directory)) for directory in real.parent.parents)
    return next((found for found in ancestors if found is not None), None)


def facts_of(path: Path) -> Facts:
    """The facts of a path; of a symbolic link, who made it (its mode means nothing)."""
    found = path.lstat()
    mode = 0 if stat.S_ISLNK(found.st_mode) else found.st_mode
    return Facts(path, found.st_uid, found.st_gid, mode, is_private_group(found.st_gid, found.st_uid))


def my_identity(environment: Mapping[str, str]) -> Identity:
    """This process's user. Under `sudo`, the user who called it is trusted too."""
    uid = os.geteuid()
    caller = environment.get("SUDO_UID", "")
    return Identity(uid, frozenset({0, int(caller)}) if uid == 0 and caller.isdecimal() else frozenset({0}))


def is_private_group(gid: int, uid: int) -> bool:
    """Whether a group has no member but that user, as each user's own group has where umask 002 is the default. One
    without a name on this machine has no members here."""
    if gid == 0:
        return True
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return True
    name = user_name(uid)
    return group.gr_name == name and set(group.gr_mem) <= {name}


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _is_sticky(facts: Facts) -> bool:
    """In such a directory, a file can only be replaced by its owner."""
    return stat.S_ISDIR(facts.mode) and bool(facts.mode & stat.S_ISVTX)
