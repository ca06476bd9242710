"""The records that everything speaks of, by noun: runs, attempts, assets, automations, ticks. Each is frozen."""
