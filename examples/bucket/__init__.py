"""Objects in a bucket, each made into a table by pandas once it is there."""
