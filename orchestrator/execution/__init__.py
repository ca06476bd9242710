"""Executors: ways of running an attempt somewhere else, behind one small interface.

They are polled and never call back, know nothing of runs, plans or the database, and can be asked again after a
restart: a handle is text.
"""
