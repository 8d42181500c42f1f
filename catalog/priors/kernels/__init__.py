"""What makes a prior quick: loops over a question's few thousand numbers, compiled by numba.

NumPy would spend most of its time on the calls. Whoever imports this package loads numba, so it is imported when the
first priors are made: vLLM's engine process does not start once numba is imported.
"""

from catalog.priors.kernels.clicks import alike_texts, sum_of_clicks
from catalog.priors.kernels.content import compare_content, content_of_items
from catalog.priors.kernels.items import compare_words, tastes
from catalog.priors.kernels.join import join
from catalog.priors.kernels.kinds import kind_evidence
from catalog.priors.kernels.postings import list_states, matching_words
from catalog.priors.kernels.sums import strongest, sum_of_rows

__all__ = [
    "alike_texts",
    "compare_content",
    "compare_words",
    "content_of_items",
    "join",
    "kind_evidence",
    "list_states",
    "matching_words",
    "strongest",
    "sum_of_clicks",
    "sum_of_rows",
    "tastes",
]
