"""The database: registry of what has no other home, and index over the journals of runs.

Exactly one process has it open. Operations are functions whose first argument is an open `Database`; `open_store`
gives something that carries them out. This package owns the `duckdb` library: its exceptions do not get out. It knows
journals as files, and nothing of executors, plans or processes.
"""
