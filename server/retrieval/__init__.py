"""What can be found at one moment: the live catalog, what of it is eligible, and the spelling of queries."""
