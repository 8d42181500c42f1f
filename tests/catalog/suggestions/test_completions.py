"""Completions of queries: who counts, what is never shown, and slips that are forgiven."""

from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import BundleError
from catalog.suggestions import MIN_PEOPLE, Completions, Screen, TypedQueries, is_private, key_of

NOW = 1_790_000_000_000
DAY = 24 * 3_600_000


def typed(**people: int) -> TypedQueries:
    """Queries, _ for a space, and how many people typed each, now."""
    return published((who, text.replace("_", " "), NOW) for text, n in people.items() for who in range(n))


def published(typed: Iterable[tuple[int, str, int]]) -> TypedQueries:
    return TypedQueries.of(sorted(typed, key=itemgetter(0)))


def texts(completions: Completions, beginning: str, most: int = 10) -> list[str]:
    return [found.text for found in completions.complete(beginning, most)]


def test_a_query_of_fewer_than_five_people_is_not_published() -> None:
    typed = [*((who, "tent", NOW) for who in range(MIN_PEOPLE)), *((who % 4, "ada lovelace", NOW) for who in range(40))]
    assert [(query.text, query.people) for query in published(typed).queries] == [("tent", MIN_PEOPLE)]
    with pytest.raises(ValueError, match="person 0 comes after person 4"):
        TypedQueries.of(typed)


def test_one_query_in_several_forms_is_shown_as_most_people_wrote_it() -> None:
    forms = ["Café  Table", "café table", "cafe table", "CAFÉ TABLE", "café-table"]
    (query,) = TypedQueries.of((who, text, NOW) for who, text in enumerate(forms)).queries
    assert query.text == "café table"


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.org",
        "call +49 30 123456",
        "4006 3813 3393",
        "order 1234567",
        "https://example.org",
        "a" * 200,
        "\uff11\uff12\uff13\uff14\uff15\uff16\uff17",
    ],
)
def test_what_may_reach_somebody_is_never_suggested(text: str) -> None:
    assert is_private(text)
    assert TypedQueries.of((who, text, NOW) for who in range(50)).queries == ()
    completions = Completions(TypedQueries())
    for who in range(50):
        completions.add(f"user-{who}", text, NOW)
    assert len(completions) == 0


@pytest.mark.parametrize("text", ["tent for 2", "size 44", "lamp 12 v 20 w", "iphone 15 pro 256 gb"])
def test_usual_numbers_are_no_private_ones(text: str) -> None:
    assert not is_private(text)


def test_rude_words_are_left_out_and_words_that_hold_them_are_not() -> None:
    screen = Screen()
    assert not screen.allows("FUCKING tent")
    assert not screen.allows("Bítch")
    assert screen.allows("scunthorpe hancock cocktail")
    assert Screen([]).allows("fucking tent")
    assert not Screen(["norvik lamp"]).allows("a norvik  lamp")


def test_the_words_of_a_file_stand_in_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text("# rivals\nOther Shop\nacme*  # all of it\n\n", encoding="utf-8")
    screen = Screen.open(file)
    assert not screen.allows("the other shop")
    assert not screen.allows("acmeland")
    assert screen.allows("shit")


def test_completions_come_by_people_and_then_by_time() -> None:
    people = [("tent", 6, 0), ("tent pegs", 9, 0), ("tea", 6, DAY), ("lamp", 50, 0)]
    of = [(who, text, NOW + later) for text, n, later in people for who in range(n)]
    completions = Completions(published(of))
    assert texts(completions, "te") == ["tent pegs", "tea", "tent"]
    assert texts(completions, "TÉ", 1) == ["tent pegs"]
    assert texts(completions, "") == ["lamp", "tent pegs", "tea", "tent"]
    assert texts(completions, "tent ") == ["tent pegs"]


def test_people_of_long_ago_count_less() -> None:
    of = [*((who, "sled", NOW - 90 * DAY) for who in range(20)), *((who, "slide", NOW) for who in range(5))]
    assert texts(Completions(published(of)), "sl") == ["slide", "sled"]


def test_the_part_that_is_completed_is_told() -> None:
    completions = Completions(typed(tent_pegs=5))
    assert [found.start for found in completions.complete("ten", 5)] == [3]
    accented = Completions(TypedQueries.of((who, "Café-Table", NOW) for who in range(5)))
    (found,) = accented.complete("cafe ta", 5)
    assert found.text[found.start :] == "ble"


@pytest.mark.parametrize("slip", ["tnet", "tennt", "temt", "tnt pegs", "tent pgs"])
def test_one_slip_is_forgiven(slip: str) -> None:
    assert texts(Completions(typed(tent_pegs=5, lamp=9)), slip) == ["tent pegs"]


def test_what_has_no_slip_comes_first_and_short_beginnings_have_none() -> None:
    completions = Completions(typed(tent=5, test_kit=500))
    assert texts(completions, "tent") == ["tent", "test kit"]
    assert texts(completions, "tet") == []


def test_a_query_appears_with_the_fifth_person_and_goes_with_their_erasure() -> None:
    completions = Completions(typed(lamp=5))
    for who in range(4):
        for _ in range(10):
            completions.add(f"user-{who}", "Tent", NOW)
    assert texts(completions, "te") == []
    completions.add("user-4", "tent", NOW)
    assert texts(completions, "te") == ["tent"]
    completions.erase("user-0")
    assert texts(completions, "te") == []
    completions.erase("nobody")
    assert texts(completions, "") == ["lamp"]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["tent", "tea", "lamp"]), st.booleans()), max_size=80))
def test_live_counts_are_those_of_a_count_anew(events: list[tuple[int, str, bool]]) -> None:
    completions = Completions(TypedQueries())
    kept: list[tuple[int, str, int]] = []
    for who, text, erased in events:
        if erased:
            completions.erase(f"user-{who}")
            kept = [event for event in kept if event[0] != who]
        else:
            completions.add(f"user-{who}", text, NOW)
            kept.append((who, text, NOW))
    for beginning in ("", "te", "tea", "lamp"):
        assert texts(completions, beginning) == texts(Completions(published(kept)), beginning)


@given(st.lists(st.text("abc ", min_size=1, max_size=8), min_size=1, max_size=12), st.text("abc", max_size=3))
def test_short_beginnings_find_what_a_scan_finds(queries: list[str], beginning: str) -> None:
    of = published((who, text, NOW) for text in queries for who in range(5))
    found = set(texts(Completions(of), beginning, 100))
    assert found == {query.text for query in of.queries if key_of(query.text).startswith(beginning)}


def test_a_blocked_query_leaves_its_place_to_the_next() -> None:
    people = {f"tent_{n}": 5 for n in range(200)} | {"tent_shit": 90}
    completions = Completions(typed(**people))
    assert len(completions.complete("tent", 50, Screen().allows)) == 50
    assert all("shit" not in found.text for found in completions.complete("tent", 300, Screen().allows))
    assert len(completions.complete("tent", 300, Screen().allows)) == 200


def test_they_are_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "typed_queries.json"
    typed(tent=5).save(file)
    assert TypedQueries.open(file) == typed(tent=5)
    file.write_text('{"queries": [{"text": "ada", "people": 1, "weight": 1, "last": 0}]}')
    with pytest.raises(BundleError, match=r"typed_queries\.json holds no queries"):
        TypedQueries.open(file)
