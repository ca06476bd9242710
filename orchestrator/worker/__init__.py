"""The processes that run user code: a warm one for each location, and one for each attempt at a step.

They import definitions and make plans; they never open the database, decide what runs next, or talk to anybody but
their parent (a socket) and the files of their attempt. Whatever user code does here, it does to this process alone.
"""
