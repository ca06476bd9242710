"""What it costs: one command measures every row, beside peers and beside what nobody can beat.

    python3 tests/benchmarks/run.py                 every row, with Dagster and Luigi in environments of their own
    python3 tests/benchmarks/run.py --no-peers      only ours
    python3 tests/benchmarks/run.py run chain       only the rows whose name has one of these words in it

No test asserts a time: numbers depend on the machine. A row is judged by its ratio to what was measured beside it.
"""
