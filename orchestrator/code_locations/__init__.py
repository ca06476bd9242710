"""The processes that have user code loaded, seen from their owner: started, asked, and noticed when they die."""
