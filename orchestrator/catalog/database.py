"""An open DuckDB file: statements, transactions, and its errors translated into ours. Takes no lock."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SchemaTooNew, StoreBusy, StoreConflict, StoreDamaged, StoreError
from orchestrator.regular import NotRegular, open_regular

if TYPE_CHECKING:  # imported only where a file is opened: a command that asks the daemon does without
    import duckdb

# Files in this format can still be opened by DuckDB 1.4, so that a downgrade stays possible.
STORAGE_VERSION = "v1.4.0"
# From this many rows on, a batch goes in by way of pyarrow: importing it costs as much as inserting 30,000 without.
_ARROW_ROWS = 20_000
_NO_SPACE = "No space left"
_attached = itertools.count(1)
# Words of errors about what is in the file, and not about its surroundings.
_DAMAGE = ("Could not read", "not a valid DuckDB database file", "Corrupt", "checksum", "replaying WAL", "Input/output")
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


class Database:
    """One connection. Rows come back as tuples; instants are naive UTC inside and converted by the codec."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        # Grows whenever something may have been written: who has read before may have to read again.
        self.writes = 0
        self._in_transaction = False
        import duckdb

        with _opening(path):
            self._connection = duckdb.connect(
                ":memory:" if path is None else str(path),
                config={
                    "storage_compatibility_version": STORAGE_VERSION,
                    "autoinstall_known_extensions": "false",
                    # A statement names tables. The variables of this program are none.
                    "python_enable_replacements": "false",
                },
            )
        with _translated(path):
            # A checkpoint at every close would cost each command tens of milliseconds; see `checkpoint_if_large`.
            self._connection.execute("PRAGMA disable_checkpoint_on_shutdown")

    def cursor(self) -> Database:
        """Another connection to the same open file, for another thread: with transactions of its own, and without
        what this one has not committed. Close it before this one."""
        other = object.__new__(Database)
        other.path, other.writes, other._in_transaction = self.path, 0, False
        with _translated(self.path):
            other._connection = self._connection.cursor()
        return other

    def interrupt(self) -> None:
        """Ends the statement that is being carried out, in whichever thread; it raises StoreError there."""
        self._connection.interrupt()

    def execute(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        """Carries out one statement. Raises StoreError, of the kind that fits: the same for all that is below."""
        self.writes += 1
        with _translated(self.path):
            self._connection.execute(statement, parameters)

    def rows(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with _translated(self.path):
            return self._connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query; None when it has none."""
        with _translated(self.path):
            return self._connection.execute(statement, parameters).fetchone()

    def meta(self, name: str) -> str | None:
        """An entry of the table `meta`; None when there is no such entry or no such table."""
        import duckdb

        with _translated(self.path):
            try:
                row = self._connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
            except duckdb.CatalogException:
                return None
        return None if row is None else str(row[0])

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds rows, given by column. One statement, however many rows there are."""
        names = list(columns)
        count = len(columns[names[0]])
        if count == 0:
            return
        into = f"INSERT INTO {table} ({', '.join(names)})"
        if count >= _ARROW_ROWS:
            self._insert_arrow(into, columns)
        else:
            values = ", ".join(f"unnest(${position + 1})" for position in range(len(names)))
            self.execute(f"{into} SELECT {values}", [list(columns[name]) for name in names])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Nothing has happened before the commit; after it, nothing can be lost. One inside another
        is part of that other."""
        if self._in_transaction:
            yield
            return
        self.execute("BEGIN")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._in_transaction = False
        self.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A raw connection inside a read-only transaction, for statements that are not ours."""
        with _translated(self.path):
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            with _translated(self.path):
                yield self._connection
        finally:
            self._roll_back()

    def checkpoint(self) -> None:
        """Moves what is in the write-ahead log into the file itself."""
        self.execute("CHECKPOINT")

    def copy_to(self, path: Path) -> None:
        """Writes all of the database into a new file, without its holes. The file itself is never read but through
        DuckDB: opening and closing it in any other way would drop the lock that protects it."""
        name = self.row("SELECT current_database()")
        assert name is not None
        with self.attached(path) as copied:
            self.execute(f'COPY FROM DATABASE "{name[0]}" TO {copied}')
            self.execute(f"CHECKPOINT {copied}")

    @contextmanager
    def attached(self, path: Path) -> Iterator[str]:
        """A new database file beside this one, under a name that no other thread uses."""
        quoted = str(path).replace("'", "''")
        name = f"copied_{next(_attached)}"
        self.execute(f"ATTACH '{quoted}' AS {name} (STORAGE_VERSION '{STORAGE_VERSION}')")
        try:
            yield name
        finally:
            self.execute(f"DETACH {name}")

    def close(self) -> None:
        self._connection.close()

    def _roll_back(self) -> None:
        import duckdb

        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            pass  # the transaction is over already, or the connection is: either way nothing was committed

    def _insert_arrow(self, into: str, columns: Mapping[str, Sequence[Any]]) -> None:
        import pyarrow as pa

        incoming = pa.table(dict(columns))
        self.writes += 1
        with _translated(self.path):
            self._connection.register("incoming", incoming)
            self._connection.execute(f"{into} SELECT * FROM incoming")
            self._connection.unregister("incoming")


@contextmanager
def _opening(path: Path | None) -> Iterator[None]:
    """What DuckDB cannot open is damaged, whatever it says of it: unless it is in use, newer, or not ours to read."""
    import duckdb

    if path is not None:
        path = Path(path)
        for file in (path, path.with_name(f"{path.name}.wal")):
            _require_file(file)
    try:
        yield
    except duckdb.IOException as error:
        raise _io_error(path, error, otherwise=_unusable) from error
    except duckdb.PermissionException as error:
        raise StoreError(f"{path} cannot be used: {_first_line(error)}") from error
    except (duckdb.Error, RuntimeError, MemoryError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def _require_file(path: Path) -> None:
    """Raises StoreDamaged when something else than a file is there, which DuckDB might wait for without an end."""
    try:
        os.close(open_regular(path))
    except FileNotFoundError:
        if path.is_symlink():
            raise _unusable(path, OSError(errno.ENOENT, "it is a link that leads nowhere")) from None
    except NotRegular as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}.", hint="Correct its owner or permissions."
        ) from error


@contextmanager
def _translated(path: Path | None) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.TransactionException as error:
        if _NO_SPACE in str(error):
            raise _io_error(path, error, otherwise=_refused) from error
        raise StoreConflict(f"Two writers met: {_first_line(error)}") from error
    except duckdb.IOException as error:
        raise _io_error(path, error, otherwise=_unusable if _is_damage(error) else _refused) from error
    except (duckdb.SerializationException, duckdb.FatalException, duckdb.InternalException) as error:
        raise _unusable(path, error) from error
    except duckdb.Error as error:
        if _is_damage(error):
            raise _unusable(path, error) from error
        raise StoreError(f"The state database reports: {_first_line(error)}") from error


def _is_damage(error: duckdb.Error) -> bool:
    """Whether an error of a statement is about what is in the file. A wrong checksum has no class of its own: it comes
    as the base class of all errors."""
    import duckdb

    text = str(error)
    return type(error) is duckdb.Error or any(words in text for words in _DAMAGE)


def _io_error(
    path: Path | None, error: duckdb.Error, *, otherwise: Callable[[Path | None, Exception], StoreError]
) -> StoreError:
    text = str(error)
    holder = _HOLDER.search(text)
    if "lock" in text.lower() and holder:
        return StoreBusy(
            f"{path} is open in another program: {holder['program']}, process {holder['pid']}.",
            hint="Close it there. To look into the state, use `orchestrator sql QUERY`: it works at any time.",
        )
    if _NO_SPACE in text:
        return StoreError(f"The disk is full: {path} cannot be written.", hint="Free some space and try again.")
    if "newer" in text or "version number" in text:
        return SchemaTooNew(
            f"{path} was written by a newer version of DuckDB.",
            hint="Upgrade orchestrator, or restore a backup.",
        )
    return otherwise(path, error)


def _refused(path: Path | None, error: Exception) -> StoreError:
    return StoreError(f"{path} cannot be used: {_first_line(error)}")


def _unusable(path: Path | None, error: BaseException) -> StoreError:
    return StoreDamaged(
        f"{path} is damaged: {_first_line(error)}",
        hint="Stop the daemon if there is one. Then restore a backup (`orchestrator state restore`), or make a new"
        " database from the journals and from what can still be read of this one (`orchestrator state rebuild`).",
    )


def _first_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().split("\n", 1)[0] or type(error).__name__
