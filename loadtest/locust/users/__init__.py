"""Locust's user classes: shoppers of several kinds, merchants, and an operator."""
