"""What users write: steps, pipelines, resources, IO managers, hooks.

A definition is checked when it is made, and an error says which definition, where it stands and what to do. Nothing
here runs a pipeline, plans one, reads a file or knows that a database exists.
"""
