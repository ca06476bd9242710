"""The command line: one file a noun, each command a few lines that call an operation and hand the result to `render`.

Results go to stdout, everything else to stderr. Modules are imported when their command is used; what a command does
not need is not imported at all, so that `orchestrator --help` appears at once.
"""
