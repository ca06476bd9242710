"""What it costs: one command measures every row, beside peers and beside what nobody can beat.

    python3 tests/benchmarks/run.py                 every row, with Dagster and Luigi in environments of their own
    python3 tests/benchmarks/run.py --no-peers      only ours
    python3 tests/benchmarks/run.py --no-cluster    without the rows that need a Kubernetes cluster
    python3 tests/benchmarks/run.py kubernetes      only those
    python3 tests/benchmarks/run.py run chain       only the rows whose name has one of these words in it

The machine is measured first, and each budget is scaled by the yardstick that fits its row (`calibration`). No test
asserts a time; `test_rows` runs every row in a tiny size, so that a published number can be measured again, and
`tests/kubernetes/test_benchmark_rows` those that need a cluster.
"""
