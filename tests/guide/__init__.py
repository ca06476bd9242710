"""A guide to writing pipelines, to be read in the order of the file names. Everything in it runs."""
