"""What words say about items: exact titles and ids, slips, numbers, brands; and no syntax in what was typed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.words import WORD_FEATURES, WordFeatures, WordSettings

RECORDS = [
    {
        "item_id": "CAM-0057",
        "title": "Norvik 60 m climbing rope",
        "brand": "Norvik",
        "categories": ["Climbing", "Ropes"],
    },
    {"item_id": "CAM-0058", "title": "Norvik 4 person tent", "brand": "Norvik", "categories": ["Camping", "Tents"]},
    {"item_id": "CAM-0059", "title": "Halda 2 person tent", "brand": "Halda", "categories": ["Camping", "Tents"]},
    {"item_id": "CAM-0060", "title": "Halda tent lantern", "brand": "Halda", "categories": ["Camping", "Lighting"]},
    {"item_id": "CAM-0061", "title": "Écharpe d'été", "brand": None, "categories": []},
    {"item_id": "x", "title": None, "brand": None, "categories": []},
]


@pytest.fixture(scope="module")
def words() -> WordFeatures:
    return WordFeatures(items(), WordSettings())


def items() -> Items:
    return Items(clean_items(pa.Table.from_pylist(RECORDS), ValidationReport("items")))


def features(words, query, item):
    (values,) = compared(words, query, np.array([item]))
    return dict(zip(WORD_FEATURES, values.tolist(), strict=True))


def compared(words, query, item_C):
    value_CF = np.zeros((len(item_C), len(WORD_FEATURES)))
    words.compare(words.find(query, 10), item_C, value_CF)
    return value_CF


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("Norvik 4 person tent", 1),
        ("norvik 4-PERSON tent!", 1),
        ("norvik 4 persons tents", 1),
        ("norvik 60m climbing rope", 0),
        ("echarpe d'ete", 4),
    ],
)
def test_a_title_is_known_however_it_is_written(words, query, item):
    own = features(words, query, item)
    assert own["exact_title"] == own["covered"] == own["title_asked"] == 1
    others = [features(words, query, other)["exact_title"] for other in range(len(RECORDS)) if other != item]
    assert others == [0] * 5


@pytest.mark.parametrize("query", ["CAM-0057", "cam0057", "cam 0057", " CAM-00-57 "])
def test_an_id_is_known_whatever_its_case_spaces_and_hyphens(words, query):
    assert features(words, query, 0)["identifier"] == 1
    assert features(words, query, 1)["identifier"] == 0
    assert words.find(query, 10).named == [0]


def test_a_slip_is_read_as_what_is_near(words):
    found = words.find("norvik lantren", 10)
    assert features(words, "norvik lantren", 3)["covered"] > 0
    assert 3 in found.item_S
    assert features(words, "norvik lantern", 3)["covered"] > features(words, "norvik lantren", 3)["covered"]


def test_the_last_word_may_be_the_beginning_of_one(words):
    """Unless items have it, something follows it, or it is a single letter."""
    assert features(words, "halda lant", 3)["title_covered"] > features(words, "halda lant", 2)["title_covered"] > 0
    assert words.find("lant", 10).item_S.tolist() == [3]
    assert features(words, "lantern", 3)["covered"] > features(words, "lant", 3)["covered"] > 0
    for query in ("lant ", "l", "lant 4", "te4"):
        assert 3 not in words.find(query, 10).item_S
        assert 3 not in words.find(query, 10, prefix=False).item_S
    assert len(words.find("lant", 10, prefix=False).item_S) == 0
    assert 3 in words.find("lantren", 10, prefix=False).item_S, "a slip is none"
    complete = WordFeatures(items(), WordSettings(prefix=False))
    assert len(complete.find("lant", 10).item_S) == 0


def test_a_new_word_is_a_completion_too(words):
    new = items().table.slice(0, 1).drop_columns("title").append_column("title", [["lanthanum"]])
    changed = words.with_items(np.array([9]), Items(new), [])
    assert 9 in changed.find("lantha", 10).item_S


def test_numbers_count_apart(words):
    assert features(words, "4 person tent", 1)["numbers"] == 1
    assert features(words, "4 person tent", 2)["numbers"] == 0
    assert features(words, "tent", 2)["numbers"] == 1


def test_a_brand_is_named_or_not(words):
    assert features(words, "norvik tents", 1)["brand"] == 1
    assert features(words, "norvik tents", 2)["brand"] == 0
    assert features(words, "camping", 3)["category"] == 1


def test_rare_words_count_more(words):
    """`lantern` is in one title, `tent` in three."""
    assert features(words, "tent lantern", 3)["covered"] == 1
    assert features(words, "person lantern", 3)["covered"] > 0.5


@pytest.mark.parametrize(
    "query",
    ["", " ", "!!!", "AND OR NOT", '"tent', "title:tent", "*", "tent~2", "😀", "\u0301" * 50, "a" * 100_000, "(" * 900],
)
def test_whatever_is_typed_is_text(words, query):
    values = compared(words, query, np.arange(len(RECORDS)))
    assert values.shape == (6, len(WORD_FEATURES))
    assert ((values >= 0) & (values <= 1)).all()


@given(st.text(max_size=40))
def test_features_are_from_0_to_1(words, query):
    values = compared(words, query, np.arange(len(RECORDS)))
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("ΣΚΗΝΕΣ ΓΙΑ ΔΥΟ", "σκηνες για δυο"),
        ("İznik Çini", "iznik çini"),
        ("Ruck\u00adsack", "rucksack"),
        ("Rucksack", "ruck\u200bsack"),
        ("Ｔｅｎｔ", "tent"),
        ("Große Straße", "GROSSE STRASSE"),
        ("cafe\u0301 cup", "CAFÉ CUP"),
    ],
)
def test_a_title_is_known_in_any_form_of_unicode(title, query):
    record = RECORDS[0] | {"title": title}
    table = clean_items(pa.Table.from_pylist([record, *RECORDS[1:]]), ValidationReport("items"))
    own = features(WordFeatures(Items(table), WordSettings()), query, 0)
    assert own["exact_title"] == own["covered"] == 1


@pytest.mark.parametrize("query", ["norvik 4 person tent", "halda tents", "tent 2", "lanten", "qqqq", "", "60m rope"])
def test_a_text_that_is_no_item_counts_as_one_of_its_words_does(query):
    records = [{**record, "brand": None, "categories": []} for record in RECORDS[:5]]
    bare = WordFeatures(Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items"))), WordSettings())
    as_items = compared(bare, query, np.arange(5))
    texts = [record["title"] for record in records]
    as_texts = bare.of_texts(query, [*texts, "", "of nothing"])
    compared_too = [place for place, name in enumerate(WORD_FEATURES) if name not in {"bm25", "title_begun"}]
    assert as_texts[:5, compared_too] == pytest.approx(as_items[:, compared_too], abs=1e-6)
    assert (as_texts[:, 0] == as_texts[:, 1]).all()
    assert not as_texts[5:, :7].any()
    (alone,) = bare.of_texts(query, texts[2:3])
    assert (alone == as_texts[2]).all()


def test_the_first_line_of_a_text_is_its_title(words):
    (values,) = words.of_texts("Halda tent", ["\n Halda tent\nfor two"])
    named = dict(zip(WORD_FEATURES, values.tolist(), strict=True))
    assert named["exact_title"] == named["title_asked"] == named["title_covered"] == 1
    (values,) = words.of_texts("for two", ["Halda tent\nfor two"])
    named = dict(zip(WORD_FEATURES, values.tolist(), strict=True))
    assert (named["covered"], named["title_covered"], named["exact_title"]) == (1, 0, 0)
