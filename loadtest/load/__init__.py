"""The load test: a server is loaded by Locust and every answer is checked: `python -m loadtest.load`."""
