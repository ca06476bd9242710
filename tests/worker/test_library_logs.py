"""Which lines of which loggers are taken over, whatever the user has configured."""

import logging
import logging.config
import sys
from contextlib import contextmanager

from orchestrator import pipeline, step
from orchestrator.worker.library_logs import library_logs


class Taken(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.name} {record.getMessage()}")


@contextmanager
def fresh():
    """A root logger as in a fresh interpreter: pytest has handlers of its own there, beginning with each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:], taken = [], Taken()
    root.setLevel(logging.WARNING)
    with library_logs(taken):
        yield taken
    assert root.parent is None
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_unconfigured_logger_is_taken_from_info_on():
    with fresh() as logs:
        logging.getLogger("lib.model").info("score %.2f", 0.5)
        logging.getLogger("lib.model").debug("never")
        logging.getLogger().error("at the root")
        assert logs.lines == ["INFO lib.model score 0.50", "ERROR root at the root"]


def test_a_library_with_a_null_handler_is_taken_too():
    with fresh() as logs:
        logging.getLogger("polite").addHandler(logging.NullHandler())
        logging.getLogger("polite").info("hello")
        assert logs.lines == ["INFO polite hello"]


def test_what_does_not_propagate_stays_where_it_is(monkeypatch):
    with fresh() as logs:
        monkeypatch.setattr(logging.getLogger("own"), "propagate", False)
        logging.getLogger("own").error("mine")
        assert logs.lines == []


def test_basic_config_works_and_nothing_is_said_twice(capfd, monkeypatch):
    with fresh() as logs:
        monkeypatch.setattr(sys, "stderr", open(2, "w", closefd=False))  # noqa: SIM115
        logging.basicConfig(format="MINE %(message)s")
        logging.getLogger("lib").error("once")
        sys.stderr.flush()
        assert capfd.readouterr().err == "MINE once\n"
        assert logs.lines == []


def test_a_handler_that_prints_errors_only_leaves_the_rest(monkeypatch):
    with fresh() as logs:
        monkeypatch.setattr(sys, "stderr", open(2, "w", closefd=False))  # noqa: SIM115
        handler = logging.StreamHandler()
        handler.setLevel(logging.ERROR)
        logging.getLogger().addHandler(handler)
        logging.getLogger("lib").warning("not printed")
        logging.getLogger("lib").error("printed")
        assert logs.lines == ["WARNING lib not printed"]


def test_a_handler_that_writes_elsewhere_hides_nothing(tmp_path):
    with fresh() as logs:
        logging.basicConfig(filename=tmp_path / "own.log")
        logging.getLogger("lib").error("in both")
        assert logs.lines == ["ERROR lib in both"]
        assert "in both" in (tmp_path / "own.log").read_text()


def test_dict_config_works(tmp_path):
    with fresh() as logs:
        logging.config.dictConfig({
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(tmp_path / "own.log")}},
            "root": {"level": "ERROR", "handlers": ["file"]},
        })  # fmt: skip
        logging.getLogger("lib").warning("below the level that was set")
        logging.getLogger("lib").error("said")
        assert logs.lines == ["ERROR lib said"]


def test_a_level_that_was_set_before_is_respected():
    root, taken = logging.getLogger(), Taken()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    root.setLevel(logging.ERROR)
    with library_logs(taken):
        logging.getLogger("lib").warning("no")
    assert (taken.lines, root.level) == ([], logging.ERROR)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_in_the_caller_s_process_a_step_s_lines_reach_the_caller_s_handlers(caplog):
    @step
    def says(context):
        context.log.warning("careful")
        logging.getLogger("lib").warning("of a library")

    @pipeline
    def saying():
        says()

    result = saying.execute_in_process()
    assert [record.getMessage() for record in caplog.records] == ["careful", "of a library"]
    assert [event.message for event in result.events if hasattr(event, "message")] == ["careful"]
