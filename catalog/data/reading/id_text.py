"""Ids that came as numbers: a whole number is the text of its digits, wherever an id is read."""

__all__ = ["MAX_EXACT", "id_text"]

MAX_EXACT = 2.0**53  # from here on a float may be another whole number than the one that was meant


def id_text(value: object) -> object:
    """The digits of a whole number, `7` for `7.0` too, which means the same in JSON; any other value as it is.

    Texts keep what they are, zeros in front included. A boolean is no number, a float from 2**53 on has lost digits.
    """
    if type(value) is int:
        return str(value)
    if type(value) is float and value.is_integer() and abs(value) < MAX_EXACT:
        return str(int(value))
    return value
