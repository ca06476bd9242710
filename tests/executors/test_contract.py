"""The shipped executors keep the contract that authors of others are given."""

from orchestrator.testing import ExecutorContract


class TestForked(ExecutorContract):
    executor = "subprocess"


class TestSpawned(ExecutorContract):
    executor = "subprocess"
    isolation = "spawn"


class TestInProcess(ExecutorContract):
    executor = "in_process"
    has_own_process = False
