"""The process that is always on: one loop that reconciles schedules, sensors, the queue and the runs with what is due.

Knows operations, the store and the executors; nothing of how it is shown.
"""
