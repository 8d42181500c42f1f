"""Messages for a terminal, which may name ids, titles and files that somebody else chose."""

__all__ = ["printable"]


def printable(message: object) -> str:
    """As text in which control, direction and other invisible characters are written as escapes, line breaks aside.

    So no id can move a terminal's cursor, turn what is written around, or look like another line.
    """
    return "\n".join(map(_escaped, str(message).split("\n")))


def _escaped(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
