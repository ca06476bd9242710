"""The version of this package, read by the build and by `orchestrator --version`. Imports nothing."""

__version__ = "0.1.0"
