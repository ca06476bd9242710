"""Two thousand aircraft, and a step for each."""
