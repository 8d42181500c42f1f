"""Which words of a query an item has, and where: what is told stands there, whatever is written."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.words import TEXT_COLUMNS, Match, WordFeatures, WordSettings, matches, places
from catalog.priors.words.index import analyzer
from catalog.priors.words.index import words_of as stems_of
from catalog.priors.words.matches import MAX_CHARACTERS, MAX_MATCHES
from catalog.text.prompts import MAX_TEXT_CHARACTERS

TENT = {
    "item_id": "CAM-0057",
    "title": "Norvik Tents for 4-Person Camps, 60m²",
    "brand": "Norvik",
    "categories": ["Outdoor", "Tents & Tarps"],
    "description": "A TENT of  ripstop. Café-blue tent_poles; see CAM-0057.",
}


def words_of(*records):
    return WordFeatures(Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items"))), WordSettings())


def told(query, record=TENT, *, prefix=True, words=None):
    words = words or words_of(record)
    (found,) = words.matches(query, words.find(query, 10, prefix=prefix).words, [record])
    return [(m.word, m.field, text_of(record, m)) for m in found]


def text_of(record, match):
    text = record["item_id"] if match.field == "id" else record[match.field]
    return (text if match.index is None else text[match.index])[match.start : match.end]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tent", [("title", "Tents"), ("categories", "Tents"), ("description", "TENT"), ("description", "tent")]),
        ("blu", [("description", "blue")]),
        ("4P", [("title", "4")]),
        ("60 m", [("title", "60"), ("title", "m²")]),
        ("norvikk", [("title", "Norvik"), ("brand", "Norvik")]),
        ("cafe", [("description", "Café")]),
        ("CAFÉ", [("description", "Café")]),
        ("cam 0057", [("id", "CAM-0057"), ("description", "CAM"), ("description", "0057")]),
        ("cam0057", [("id", "CAM-0057"), ("description", "CAM"), ("description", "0057")]),
        ("tarps poles", [("categories", "Tarps"), ("description", "poles")]),
        ("lantern", []),
        ("& - ; _", []),
    ],
)
def test_what_is_told_stands_there(query, expected):
    assert [(field, text) for _, field, text in told(query)] == expected


def test_words_are_told_as_they_were_typed():
    assert {word for word, *_ in told("TENTS Norvikk 4-person")} == {"TENTS", "Norvikk", "4", "person"}
    assert told("Blu", prefix=True) == [("Blu", "description", "blue")]
    assert told("blu", prefix=False) == []


def test_which_of_several_texts_is_told():
    words = words_of(TENT)
    (found,) = words.matches("outdoor tarps", words.find("outdoor tarps", 10).words, [TENT])
    assert [(m.field, m.index) for m in found] == [("categories", 0), ("categories", 1)]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("query", "text"), [("café", "Café"), ("नमस्ते", "नमस्ते"), ("κανό", "Κανό"), ("кемпинг", "Кемпинг")]
)
def test_letters_with_marks_are_one_word(query, text, form):
    record = {"item_id": "x", "title": f"({unicodedata.normalize(form, text)})"}
    assert [found for _, _, found in told(query, record)] == [unicodedata.normalize(form, text)]


def test_an_item_may_have_no_texts_at_all():
    record = {"item_id": "x", "title": None, "categories": None}
    assert told("tent", record) == []


WORDS = st.sampled_from(
    ["tent", "Tents", "café", "cafe\u0301", "60m", "4-person", "🏕", "\u0301", "<b>", "ﬁre", "x" * 70, "٣", "_", "ß"]
)


@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(WORDS, max_size=12), st.sampled_from(TEXT_COLUMNS))
def test_every_word_of_the_query_that_a_text_has_as_it_is_is_found_there(query, text, column):
    """And whatever is found has a reading in the query."""
    joined = " ".join(text)
    record = {"item_id": "other", column: [joined] if column == "categories" else joined}
    words = words_of(record)
    readings = words.find(" ".join(query), 10).words
    (found,) = words.matches(" ".join(query), readings, [record])
    known = {reading for own in readings for reading in own}
    stem = words._readings._stem
    marked = {text_of(record, match) for match in found}
    assert all(
        known & {stem(part) for part in words._readings._surface.analyze(piece)} for piece in marked if piece.isascii()
    )
    for word in {"tent", "café"} & set(query) & set(text):
        assert word in marked


def test_what_is_told_of_an_item_is_bounded_and_names_every_word():
    record = {"item_id": "x", "title": "tent " * 100 + "rope"}
    found = told("tent rope", record)
    assert len(found) == MAX_MATCHES + 1
    assert found[-1] == ("rope", "title", "rope")
    late = {"item_id": "x", "title": "é" * MAX_TEXT_CHARACTERS + " tent"}
    assert told("tent", late) == []


@pytest.mark.parametrize(
    "text", ["tent " * 10_000, "x" * 1_000_000, "e" + "\u0301" * 100_000, "🏕" * 50_000, "a1" * 50_000]
)
@pytest.mark.parametrize("items", [1, 10, 200])
def test_of_long_texts_only_so_much_is_looked_at(text, items, monkeypatch):
    looked_at = 0  # of texts that differ: what is known is not looked at again

    def pieces(text):
        nonlocal looked_at
        looked_at += len(text)
        return own(text)

    words, query = words_of(TENT), "tent " + text[:990]
    ways = [f"{number} {text if number < 53 else text[: 2 * MAX_TEXT_CHARACTERS]}" for number in range(53 * items)]
    records = [
        {"item_id": "x", "title": own[0], "brand": own[1], "categories": own[2:-1], "description": own[-1]}
        for own in (ways[53 * item : 53 * (item + 1)] for item in range(items))
    ]
    readings = words.find(query, 10).words
    own = places.pieces
    for module in (matches, places):
        monkeypatch.setattr(module, "pieces", pieces)
    assert words.unknown_characters(records) <= MAX_CHARACTERS
    found = words.matches(query, readings, records)
    assert len(found) == items
    assert max(map(len, found)) <= MAX_MATCHES + len(readings)
    assert len(query) + MAX_TEXT_CHARACTERS < looked_at <= len(query) + MAX_CHARACTERS


TEXT = st.lists(WORDS, max_size=12).map(" ".join)
ITEM = st.fixed_dictionaries(
    {"item_id": st.just("x"), "title": TEXT, "brand": TEXT, "categories": st.lists(TEXT, max_size=2)}
)


@given(st.lists(ITEM, min_size=1, max_size=4), st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 60))
def test_what_is_remembered_of_texts_changes_no_answer(records, queries, kept):
    """Each piece of each text, looked at anew, says the same."""
    words = words_of(*[record | {"item_id": str(number)} for number, record in enumerate(records)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "MAX_KEPT", kept)
        for query in [*queries, *queries]:
            readings = words.find(query, 10).words
            assert words.matches(query, readings, records) == [looked_at_anew(query, readings, r) for r in records]


def looked_at_anew(query, readings, record):
    """The definition: the first stem of a piece that is a reading says which word of the query it is."""
    stems = analyzer("english")
    typed = {}
    for piece in places.pieces(query):
        for stem in stems_of(stems, piece[0]):
            typed.setdefault(stem, piece[0])
    sure = {}
    for own in readings:
        first = max(own, key=lambda reading: own[reading], default="")
        for reading, how_sure in own.items():
            if how_sure > sure.get(reading, (0, ""))[0]:
                sure[reading] = how_sure, typed.get(first, first)
    found = []
    for field in TEXT_COLUMNS:
        value = record.get(field)
        for index, text in enumerate(value if isinstance(value, list) else [value or ""]):
            for piece in places.pieces(text):
                word = next((sure[stem][1] for stem in stems_of(stems, piece[0]) if stem in sure), None)
                if word is not None:
                    found.append(Match(word, field, *piece.span(), index if isinstance(value, list) else None))
    return found[:MAX_MATCHES] + [m for n, m in enumerate(found) if n >= MAX_MATCHES and is_first(found, n)]


def is_first(found, place):
    return found[place].word not in {before.word for before in found[:place]}


def test_only_so_much_is_remembered(monkeypatch):
    monkeypatch.setattr(places, "MAX_KEPT", 1_000)
    words = words_of(TENT)
    readings = words.find("tent", 10).words
    texts = ["tent " * 1_000, "🏕" * 2_000, *(f"tent {number}" for number in range(100))]
    for text in texts:
        words.matches("tent", readings, [{"item_id": "x", "title": text}])
        assert sum(map(len, words._text_places._known)) <= 1_000
    assert len(words._text_places._known) > 10


def test_what_is_known_is_not_counted_as_unknown():
    words = words_of(TENT)
    texts = [TENT["title"], TENT["brand"], *TENT["categories"], TENT["description"]]
    assert words.unknown_characters([TENT, {"item_id": "x"}]) == sum(map(len, texts))
    told("tent", words=words)
    assert words.unknown_characters([TENT]) == 0
    assert words.unknown_characters([TENT | {"title": "Another"}]) == len("Another")
