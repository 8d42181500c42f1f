"""The routes, by part of the API."""
