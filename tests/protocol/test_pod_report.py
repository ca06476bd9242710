"""What an image has, compared with what is here: one sentence for each difference."""

import base64
import zlib

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator._version import __version__
from orchestrator.protocol.messages import OLDEST_PROTOCOL, PROTOCOL
from orchestrator.protocol.pod_report import PodReport, differences, read_report

HERE = {"flights": 3, "prices": 1}
SAME = PodReport(__version__, PROTOCOL, OLDEST_PROTOCOL, pipelines=HERE)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (SAME, []),
        (replace(SAME, pipelines={**HERE, "new": 9}), []),
        (replace(SAME, pipelines={"flights": 3}), ["it lacks the pipeline prices"]),
        (replace(SAME, pipelines={}), ["it lacks the pipelines flights, prices"]),
        (replace(SAME, pipelines={**HERE, "flights": 2}), ["its pipeline flights has 2 steps, and here it has 3"]),
        (replace(SAME, missing=("DSN",)), ["the variable DSN is not set in it"]),
        (
            replace(SAME, error="ModuleNotFoundError: No module named 'sales'", pipelines={}),
            ["its module cannot be imported: ModuleNotFoundError: No module named 'sales'"],
        ),
        (
            replace(SAME, version="9.0", protocol=PROTOCOL + 9, oldest_protocol=PROTOCOL + 1),
            [f"it has orchestrator 9.0 (protocol {PROTOCOL + 9}), and here is {__version__} ({PROTOCOL})"],
        ),
    ],
)
def test_each_difference_is_a_sentence(report, said):
    assert differences(report, HERE) == said


def test_a_report_arrives_as_it_was_and_fits_a_termination_message():
    report = replace(SAME, pipelines={f"pipeline_number_{number}": number for number in range(300)})
    text = base64.b85encode(zlib.compress(msgspec.json.encode(report), 9)).decode()
    assert read_report(text) == report
    assert len(text) < 4096


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):", "{}", "NM&qnZy*"])
def test_what_is_no_report_is_none(text):
    assert read_report(text) is None
