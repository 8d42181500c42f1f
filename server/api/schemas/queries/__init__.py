"""Searches and recommendations: what they may ask, and what is answered."""
