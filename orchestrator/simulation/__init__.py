"""Seeing the future: the daemon's own decisions against a clock that is set, on a copy of what is remembered.

Nothing is launched and nothing of the state is changed. Knows nothing of how a result is shown.
"""
