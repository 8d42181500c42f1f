"""A fault: something that the oracle finds wrong with an answer."""

from dataclasses import dataclass

__all__ = ["Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an answer.

    rule: the rule that it breaks, in one or two words, by which faults are counted.
    detail: what was answered and what was expected.
    """

    rule: str
    detail: str
