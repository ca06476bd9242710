"""Steps as jobs of a batch system: an executor of one's own."""
