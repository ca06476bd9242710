"""Messages between the owner of a run and the processes that hold user code, and how they are sent."""
