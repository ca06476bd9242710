"""What a module may do while it is imported if its steps are to be forked: each library, imported and used.

Either a dozen forked steps that use the library again all end well, or nothing is run and the message says what to do.
"""

import pytest

# Waiting threads of OpenMP spin; on a busy machine that is all they would do.
CALM = {"OMP_WAIT_POLICY": "passive"}
# Library, what the module does when it is imported, what each step does then.
TABLE = "{'k': ['a', 'b'] * 20_000, 'v': range(40_000)}"
SUITED = [
    pytest.param(
        "import numpy as np\nA = np.random.rand(150, 150)\nprint((A @ A).sum(), np.linalg.svd(A)[1][0])",
        "(A @ A).sum(); np.linalg.svd(A[:50])",
        id="numpy",
    ),
    pytest.param(
        f"import pandas as pd\nD = pd.DataFrame({TABLE})\nD.groupby('k').v.sum(); D.k.str.upper()",
        "D.groupby('k').v.sum(); D.k.str.upper(); D.merge(D.head(10))",
        id="pandas",
    ),
    pytest.param(
        "import os, pyarrow as pa, pyarrow.parquet as pq\n"
        f"T = pa.table({TABLE})\nT.group_by('k').aggregate([('v', 'sum')])\n"
        "pq.write_table(T, f't{os.getpid()}.parquet'); FILE = f't{os.getpid()}.parquet'; pq.read_table(FILE)",
        "T.group_by('k').aggregate([('v', 'sum')]); assert pq.read_table(FILE).num_rows == 40_000",
        id="pyarrow",
    ),
    pytest.param("import polars as pl", f"pl.DataFrame({TABLE}).group_by('k').agg(pl.col('v').sum())", id="polars"),
    pytest.param(
        "import duckdb\nwith duckdb.connect() as c: c.sql('SELECT sum(range) FROM range(1000000)').fetchall()",
        "assert duckdb.connect().sql('SELECT sum(range) FROM range(1000)').fetchall() == [(499500,)]",
        id="duckdb, closed",
    ),
    pytest.param(
        "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
        "X = np.random.rand(500, 20); Y = X[:, 0] > 0.5\nLogisticRegression().fit(X, Y)",
        "LogisticRegression().fit(X, Y).predict(X)",
        id="sklearn",
    ),
    pytest.param(
        "import boto3\nC = boto3.client('s3', 'us-east-1', aws_access_key_id='k', aws_secret_access_key='s')",
        "C.generate_presigned_url('get_object', {'Bucket': 'b', 'Key': 'k'})",
        id="boto3",
    ),
    pytest.param(
        "import os, matplotlib\nmatplotlib.use('svg')\nimport matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.savefig(os.devnull)",
        "plt.plot([1, 2]); plt.savefig(os.devnull)",
        id="matplotlib",
    ),
]
UNSUITED = [
    pytest.param(
        f"import polars as pl\nD = pl.DataFrame({TABLE})\nD.group_by('k').agg(pl.col('v').sum())",
        "D.group_by('k').agg(pl.col('v').sum())",
        "polars",
        id="polars, used",
    ),
    pytest.param(
        "import duckdb\nC = duckdb.connect(); C.sql('SELECT sum(range) FROM range(1000000)').fetchall()",
        "C.sql('SELECT sum(range) FROM range(1000000)').fetchall()",
        "duckdb",
        id="duckdb, open",
    ),
    pytest.param(
        "import numpy as np\nfrom sklearn.cluster import KMeans\nX = np.random.rand(600, 20)\n"
        "KMeans(4, n_init=1).fit(X)",
        "KMeans(4, n_init=1).fit(X)",
        "libgomp",
        id="sklearn, OpenMP",
    ),
    pytest.param(
        "from pyarrow import fs\nF = fs.S3FileSystem(access_key='k', secret_key='s', region='us-east-1')",
        "F.region",
        "libarrow_s3",
        id="pyarrow, S3",
    ),
    pytest.param(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True, name='pinger').start()",
        "pass",
        "Python thread 'pinger'",
        id="a thread",
    ),
]


def write(bench, imported, used, isolation="fork"):
    source = f"{imported}\nfrom orchestrator import pipeline, step\n\n@step\ndef use():\n    {used}\n"
    (bench.path / "pipelines.py").write_text(
        f"{source}\n@pipeline\ndef many():\n    for _ in range(12):\n        use()\n"
        "\n@pipeline\ndef one():\n    use()\n"
    )
    bench.settings(f"locations: [{{name: main, file: pipelines.py, isolation: {isolation}}}]")


@pytest.mark.parametrize(("imported", "used"), SUITED)
@pytest.mark.sample(1)
def test_steps_are_forked_from_a_module_that_leaves_no_threads_that_they_would_miss(bench, imported, used):
    write(bench, imported, used)
    shown = bench.json("run", "many", **CALM)
    assert [step["status"] for step in shown["steps"]] == ["SUCCESS"] * 12, shown


@pytest.mark.parametrize(("imported", "used", "whose"), UNSUITED)
@pytest.mark.sample(1)
def test_a_module_that_leaves_such_threads_is_refused_before_any_step_and_works_spawned(bench, imported, used, whose):
    write(bench, imported, used)
    done = bench("run", "many", **CALM)
    assert done.code == 6, done
    assert "cannot be forked safely" in done.err
    assert whose in done.err
    assert "isolation: spawn" in done.err
    assert bench.json("runs", "list") == []
    write(bench, imported, used, "spawn")
    bench("run", "one", **CALM).ok()


def test_in_a_module_that_cannot_be_forked_a_step_may_ask_for_a_process_of_its_own(bench):
    bench.write("""
        import threading, time
        from orchestrator import pipeline, step
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

        @step(isolation="spawn")
        def alone():
            assert threading.active_count() == 2

        @step
        def forked():
            pass

        @pipeline
        def good():
            alone()

        @pipeline
        def bad():
            alone()
            forked()
    """)
    bench("run", "good").ok()
    assert bench("run", "bad").code == 6


def test_forked_steps_draw_different_random_numbers(bench):
    bench.write("""
        import random
        import numpy as np
        from orchestrator import pipeline, step

        @step
        def draw():
            with open("ledger", "a") as ledger:
                ledger.write(f"{np.random.rand()} {random.random()}\\n")

        @pipeline
        def p():
            for _ in range(4):
                draw()
    """)
    bench("run", "p").ok()
    assert len(set(bench.ledger())) == 8
