"""The OpenAPI document, from which clients are made."""
