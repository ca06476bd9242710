"""Contracts for IO managers and executors, for the tests of their authors."""

from orchestrator.testing.executors import ExecutorContract
from orchestrator.testing.io_managers import IOManagerContract

__all__ = ["ExecutorContract", "IOManagerContract"]
