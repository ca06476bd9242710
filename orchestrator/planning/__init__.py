"""From definitions to a plan: frozen data that says everything about a run that can be known before it starts.

A plan is stored with its run, so that a run in flight does not change when code does. Planning imports definitions;
what reads plans (the engine, the command line) needs only `planning.plan` and never a definition.
"""
