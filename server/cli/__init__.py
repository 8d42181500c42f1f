"""Commands beside the server: keys, the OpenAPI document, exports and retraining."""
