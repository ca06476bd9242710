"""A misspelled option of one of our classes: which is meant."""

import pytest

import orchestrator
from orchestrator.worker.options_hint import options_hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("RetryPolicy(retries=2)", "RetryPolicy: Did you mean max_retries?"),
        ("RetryPolicy(\n    retries=2,\n)", "RetryPolicy: Did you mean max_retries?"),
        ('Mode("m", executors="x")', "Mode: Did you mean executor?"),
        ('Preset("p", configs={})', "Preset: Did you mean config?"),
        ('print(RunRequest("k", conf={}))', "RunRequest: Did you mean config?"),
        (
            "RetryPolicy(zzz=2)",
            "RetryPolicy takes max_retries, delay, backoff, jitter, infrastructure_retries, max_delay.",
        ),
    ],
)
def test_the_option_that_is_meant_is_named(tmp_path, source, said):
    with pytest.raises(TypeError) as caught:
        run(tmp_path, source)
    assert options_hint(caught.value) == said


@pytest.mark.parametrize("source", ["int(x=1)", "dict(1)", "(lambda a: a)(b=1)", "RetryPolicy(1, 2, 3, 4, 5, 6, 7)"])
def test_other_mistakes_get_none(tmp_path, source):
    with pytest.raises(TypeError) as caught:
        run(tmp_path, source)
    assert options_hint(caught.value) is None


def run(tmp_path, source):
    path = tmp_path / "pipelines.py"
    path.write_text(source)
    exec(compile(source, str(path), "exec"), {name: getattr(orchestrator, name) for name in orchestrator.__all__})
