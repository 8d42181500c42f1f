"""Proposed synonyms: words and short phrases of searches that lead to the same clicks."""

from catalog.priors.words.proposals.propose import MIN_PEOPLE, Alike, ProposalSettings, Proposed, proposals

__all__ = ["MIN_PEOPLE", "Alike", "ProposalSettings", "Proposed", "proposals"]
