"""What goes over the wire: parameters that are read, and the shape of every answer, by part of the API.

Answers are built as plain dictionaries and written by orjson (responses.py); the models whose names end in `Body`
document them in the OpenAPI document.
"""
