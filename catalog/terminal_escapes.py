"""Makes messages safe to print to a terminal, where they may hold ids, titles and file names that others chose."""

__all__ = ["printable"]


def printable(message: object) -> str:
    """The message with control, direction and other invisible characters escaped, except for line breaks.

    So no id can move the cursor, reverse the text around it, or look like another line.
    """
    return "\n".join(map(_escaped, str(message).split("\n")))


def _escaped(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
