"""Files that are delivered to a directory, each taken in once, with a summary a day and an alert."""
