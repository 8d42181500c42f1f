"""The Locust process of the load test: simulated users, and the test oracle that checks their answers.

Importing Locust patches the standard library for gevent, so only `users` and `__main__`, which run in a process of
their own, may import it. The oracle is plain Python and tested as such.
"""
