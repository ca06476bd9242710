"""The command line: one file a noun. Commands call the service and hand its records to a `..._view`; use-cases do not
belong here.

Results go to stdout, everything else to stderr. Modules are imported when their command is used; what a command does
not need is not imported at all, so that `orchestrator --help` appears at once.
"""
