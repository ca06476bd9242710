"""The IO managers that are shipped. Users' own need nothing from here; these use only what theirs can use.

Each module imports the library it is for inside the functions that need it, so that naming an IO manager in a
pipeline costs nothing until a value passes through it.
"""
