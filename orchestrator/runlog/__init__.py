"""Runs on disk: creates, owns, appends to, reads, cancels, packs and repairs them, by run id.

Nothing outside this package and `attempts` knows which files a run consists of. It reads and writes records, events and
lines, and decides nothing: the engine does that.
"""
