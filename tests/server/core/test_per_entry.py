"""What is made of entries is made again only for those that changed."""

from server.core.per_entry import PerEntry


def test_only_what_changed_is_made_again() -> None:
    made: list[str] = []

    def make(entry: list[str]) -> str:
        made.append(entry[0])
        return entry[0].upper()

    a, b, b_again = ["a"], ["b"], ["b"]
    each = PerEntry(make)
    assert each.of({"one": a, "two": b}) == {"one": "A", "two": "B"}
    assert each.of({"two": b, "one": a}) == {"two": "B", "one": "A"}
    assert made == ["a", "b"]
    assert each.of({"two": b_again}) == {"two": "B"}
    assert made == ["a", "b", "b"]
    each.of({"one": a})
    assert made == ["a", "b", "b", "a"], "what has gone is forgotten"
