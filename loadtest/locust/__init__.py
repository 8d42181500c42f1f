"""Shoppers who load a server and check what it answers: `python -m loadtest.load` starts them.

Importing Locust patches the standard library for gevent. So only `customer`, `people`, `staff` and `__main__`, which
run in a process of their own, may import it; what judges an answer is plain Python and tested as such.
"""
