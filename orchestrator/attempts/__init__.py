"""The channel between the owner of a run and the process of one attempt: both ends, and the data that travel.

`channel` has the two protocols, `files` and `watch` implement them over a directory, `memory` within one process. One
contract suite (`tests/attempts`) runs over every implementation.
"""
