"""The use-cases, one noun a module: what the command line, the daemon and tests call.

They bring together what may not know each other (the store, the executors, the engine), carry decisions out and
write down what happened. They decide nothing that the engine can decide, and print nothing.
"""
