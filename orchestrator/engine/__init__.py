"""Decisions: what must happen next, given a plan, what has happened and what time it is.

Nothing here does anything. No clock, no file, no process, no store; randomness arrives as an argument. What a run's
owner does is: ask `next_action`, carry it out, write down what happened, `apply` that, and ask again. Applying the
events of a journal gives the same state as having lived through them, which is all there is to recovery.
"""
