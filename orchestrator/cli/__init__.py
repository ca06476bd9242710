"""The command line: one file a noun, whose commands call operations and hand what comes of it to a `..._view`. What
somebody who is no person at a terminal might want as well does not belong here.

Results go to stdout, everything else to stderr. Modules are imported when their command is used; what a command does
not need is not imported at all, so that `orchestrator --help` appears at once.
"""
