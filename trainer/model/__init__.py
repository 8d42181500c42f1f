"""The language model that is tuned (`backbone`), identifiers for items (`semantic_ids`), warm starts, and the average
of the last weights (`weight_average`).
"""
