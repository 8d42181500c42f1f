"""The overload test: whether a server that is asked for more than it can do still does what it can."""
