"""Two teams, two locations: what the one publishes, the other reacts to."""
