"""Every kind of event is documented, by its class and on the page."""

import typing

from orchestrator.model.events import AnyEvent
from tests.formats.events_page import PAGE, page


def test_every_kind_of_event_says_what_happened():
    assert [kind for kind in typing.get_args(AnyEvent) if not kind.__dict__.get("__doc__")] == []


def test_the_page_of_events_is_what_the_classes_say():
    assert PAGE.read_text() == page(), "python3 -m tests.formats.events_page"
