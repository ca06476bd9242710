"""A write that fails, or whose process is killed, leaves the value that was there: complete, and nothing beside it."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest

from orchestrator import InputContext
from orchestrator.io_managers import duckdb as duckdb_module
from orchestrator.io_managers import parquet as parquet_module
from orchestrator.io_managers.filesystem import FilesystemIOManager
from orchestrator.io_managers.local_files import replacing
from orchestrator.io_managers.parquet import ParquetIOManager
from tests.io_managers.writes import CONTEXT, LAST_CALL, MANAGERS, NEW, OLD


def loaded(manager):
    return manager.load_input(InputContext(CONTEXT))


def below(directory):
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file())


# --- failures ---


class Broken(Exception):
    pass


PLACES = [
    *((kind, *last_call) for kind, last_call in LAST_CALL.items()),
    ("duckdb", duckdb_module, "check_write"),
    ("duckdb", duckdb_module, "_check_stored"),
]


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(("kind", "module", "function"), PLACES)
@pytest.mark.sample(12)
def test_a_failure_in_the_middle_of_a_write(tmp_path, monkeypatch, kind, module, function, error):
    manager = MANAGERS[kind](tmp_path)
    manager.handle_output(CONTEXT, OLD)
    before = below(tmp_path)

    def breaks(*arguments, **options):
        raise error

    monkeypatch.setattr(module, function, breaks)
    with pytest.raises(error):
        manager.handle_output(CONTEXT, NEW)
    assert loaded(manager).equals(OLD)
    assert below(tmp_path) == before
    monkeypatch.undo()
    manager.handle_output(CONTEXT, NEW)
    assert loaded(manager).equals(NEW)


class HalfPickled:
    def __reduce__(self):
        raise Broken


def test_a_value_that_breaks_when_half_of_it_is_pickled(tmp_path):
    manager = FilesystemIOManager(tmp_path)
    manager.handle_output(CONTEXT, OLD)
    with pytest.raises(Exception, match="cannot be pickled"):
        manager.handle_output(CONTEXT, [b"x" * 10_000_000, HalfPickled()])
    assert loaded(manager).equals(OLD)
    assert below(tmp_path) == ["test/daily/result"]


# --- death and a full disk, in a process of its own ---

WRITER = """
    import os, resource, signal, sys
    from tests.io_managers.writes import CONTEXT, LAST_CALL, MANAGERS, NEW

    directory, kind, how = sys.argv[1:]
    manager = MANAGERS[kind](directory)
    if how == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    else:
        setattr(*LAST_CALL[kind], lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
    try:
        manager.handle_output(CONTEXT, NEW)
    except Exception as error:
        print(type(error).__name__)
"""


def write_elsewhere(directory, kind, how):
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(directory), kind, how]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.sample(2)
def test_a_process_that_is_killed_in_the_middle_of_a_write(tmp_path, kind):
    manager = MANAGERS[kind](tmp_path)
    manager.handle_output(CONTEXT, OLD)
    before = below(tmp_path)
    assert write_elsewhere(tmp_path, kind, "killed").returncode == -signal.SIGKILL
    assert loaded(manager).equals(OLD)
    # What it has left is taken over by the next write, and does not accumulate.
    manager.handle_output(CONTEXT, NEW)
    assert loaded(manager).equals(NEW)
    assert below(tmp_path) == before


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", MANAGERS)
def test_a_disk_that_is_full(tmp_path, kind):
    manager = MANAGERS[kind](tmp_path)
    manager.handle_output(CONTEXT, OLD)
    before = below(tmp_path)
    done = write_elsewhere(tmp_path, kind, "full")
    assert "Error" in done.stdout or "Exception" in done.stdout, done.stderr
    assert loaded(manager).equals(OLD)
    assert below(tmp_path) == before


# --- several writers ---


def test_two_writers_of_one_file_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "x"
    with replacing(path) as first, replacing(path) as second:
        first.write(b"first" * 100)
        second.write(b"second")
    assert path.read_bytes() == b"first" * 100  # the block that ended last
    assert below(tmp_path) == ["x"]


def test_a_temporary_file_that_was_left_is_written_anew(tmp_path):
    path = tmp_path / "x"
    (tmp_path / ".x.0.tmp").write_bytes(b"left, and longer than what comes now")
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert below(tmp_path) == ["x"]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_is_as_private_as_it_should_be(tmp_path, mode):
    with replacing(tmp_path / "x", mode) as file:
        file.write(b"")
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


# --- object storage ---


@pytest.fixture
def lake(server, bucket):
    return ParquetIOManager(f"s3://lake/tables?endpoint_override={server}&scheme=http&region=us-east-1")


def objects(bucket):
    return {item.key: item.get()["Body"].read() for item in bucket.objects.all()}


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt])
def test_an_object_is_not_touched_before_the_new_one_is_complete(bucket, lake, monkeypatch, error):
    lake.handle_output(CONTEXT, OLD)
    before = objects(bucket)

    def breaks(*arguments, **options):
        raise error

    monkeypatch.setattr(parquet_module, "check_kept", breaks)  # the last thing before the upload
    with pytest.raises(error):
        lake.handle_output(CONTEXT, NEW)
    assert objects(bucket) == before


def test_a_column_that_only_the_writer_finds_wrong_leaves_the_object_in_place(bucket, lake):
    lake.handle_output(CONTEXT, OLD)
    before = objects(bucket)
    schema = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.struct([pa.field("x", pa.int64(), False)]))])
    inner = pa.StructArray.from_arrays([pa.array([None] * 1000, pa.int64())], fields=list(schema.field("b").type))
    with pytest.raises(Exception, match="column 'b'"):
        lake.handle_output(CONTEXT, pa.Table.from_arrays([pa.array(range(1000)), inner], schema=schema))
    assert objects(bucket) == before


def test_an_object_that_is_replaced_while_it_is_read_is_read_as_one_or_the_other(bucket, lake, monkeypatch):
    lake.handle_output(CONTEXT, OLD)
    place, replacements = lake._place, []
    plain = ParquetIOManager(lake._base_uri)

    class Replaced:
        """A filesystem on which the object grows between the question for its size and the reading."""

        def __init__(self, filesystem):
            self._filesystem = filesystem
            self.type_name = filesystem.type_name

        def open_input_file(self, path):
            source = self._filesystem.open_input_file(path)
            source.size()
            if not replacements:
                replacements.append(ParquetIOManager.handle_output(plain, CONTEXT, NEW))
            return source

        def get_file_info(self, path):
            return self._filesystem.get_file_info(path)

    def replaced(context):
        filesystem, path = place(context)
        return Replaced(filesystem), path

    monkeypatch.setattr(lake, "_place", replaced)
    assert loaded(lake).equals(NEW)


def test_object_storage_keeps_every_kind_of_table_that_a_disk_keeps(lake):
    from tests.io_managers.tables import TABLES
    from tests.io_managers.test_round_trips import NO_PARQUET, check

    for name in list(TABLES)[::5]:
        check(lake, name, NO_PARQUET)
