"""The workspaces that are measured: pipelines that do nothing, in every shape that matters."""

import textwrap

# As real pipelines do, the module imports pyarrow and duckdb: forking such a process is what a step costs at least.
PIPELINES = """
    import duckdb
    import pyarrow
    from orchestrator import DynamicOut, DynamicOutput, pipeline, step

    @step
    def first() -> int:
        return 1

    @step
    def following(value: int) -> int:
        return value

    @step
    def alone() -> None:
        pass

    @pipeline
    def one():
        first()

    def chain(length):
        @pipeline(name=f"chain{length}")
        def made():
            handle = first()
            for _ in range(length - 1):
                handle = following(handle)
        return made

    def fan(width):
        @pipeline(name=f"fan{width}")
        def made():
            for _ in range(width):
                alone()
        return made

    chain2, chain10, chain50, chain100 = chain(2), chain(10), chain(50), chain(100)
    fan100 = fan(100)
"""


def make(path, pipelines=PIPELINES, settings="locations: [{name: main, file: pipelines.py}]", concurrent=4):
    """A workspace in an empty directory."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "pipelines.py").write_text(textwrap.dedent(pipelines))
    (path / ".orchestrator.yaml").write_text(f"{settings}\nexecutor: {{max_concurrent_steps: {concurrent}}}\n")
    return path
