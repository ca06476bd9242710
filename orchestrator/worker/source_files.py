"""Finds the files that a location's code was loaded from: a change of one of them means a reload."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

_INSTALLED = ("site-packages", "dist-packages")


def source_files(directory: str, error: BaseException | None = None) -> tuple[str, ...]:
    """The files of the loaded modules that lie in a location's directory, installed packages left out. With an
    `error` that came of importing them, also those that it was raised in, which are no modules any more."""
    # A module is known by the path that it was imported from; a link in that is part of its name.
    roots = tuple({f"{path.rstrip(os.sep)}{os.sep}" for path in _ways_to(directory)})
    files = [*_files_of_modules(), *(_files_of_error(error) if error is not None else ())]
    return tuple(
        sorted({file for file in files if file.startswith(roots) and not any(part in file for part in _INSTALLED)})
    )


def _ways_to(path: str) -> tuple[str, str]:
    return os.path.abspath(path), os.path.realpath(path)  # noqa: PTH100


def _files_of_modules() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            yield file


def _files_of_error(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        if isinstance(following, SyntaxError) and following.filename:
            yield following.filename
        trace = following.__traceback__
        while trace is not None:
            yield trace.tb_frame.f_code.co_filename
            trace = trace.tb_next
        following = following.__cause__ or following.__context__
