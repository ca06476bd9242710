"""Executors: ways of running an attempt in another process, behind one small interface.

They are polled and never call back. A handle is text, so that an owner can ask again after a restart.
"""
