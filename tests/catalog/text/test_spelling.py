"""Corrections by the catalog's words, against edits made one by one."""

import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.text import spelling
from catalog.text.compounds import words_of
from catalog.text.spelling import MAX_LOOKUPS, Lexicon
from catalog.text.vocabulary import MAX_LENGTH

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
SHOP = Lexicon(
    {"waterproof": 40, "jacket": 90, "jackets": 3, "tent": 70, "tend": 2, "sleeping": 9, "bag": 50, "palatka": 1}
    | {"палатка": 5, "σκηνή": 4, "帐篷防水布": 2, "café": 2, "boots": 30, "roots": 60},
    {},
)


def edits_of(word: str) -> set[str]:
    """Every text one edit away."""
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    drops = {left + right[1:] for left, right in halves if right}
    swaps = {left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1}
    replaced = {left + letter + right[1:] for left, right in halves if right for letter in ALPHABET}
    return drops | swaps | replaced | {left + letter + right for left, right in halves for letter in ALPHABET}


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("waterprof jaket", "waterproof jacket"),
        ("Watreprof  JACKET!", "waterproof  JACKET!"),
        ("tnet, 2-person", "tent, 2-person"),
        ("slepping bag -10°", "sleeping bag -10°"),
        ("палтка", "палатка"),
        ("σκηνι", "σκηνή"),
        ("cafés", "cafés"),
        ("ｊａｋｅｔ", "jacket"),
    ],
)
def test_a_misspelled_word_becomes_the_nearest_one(typed: str, corrected: str) -> None:
    assert SHOP.correct(typed) == corrected


@pytest.mark.parametrize(
    "typed",
    [
        "tent",
        "tend",
        "tents",
        "bgs",
        "jac",
        "x1200",
        "tnet2",
        "jaket_7",
        "帐篷防雨布",
        "zzzzzz",
        "<|search|>",
        "",
        "🏕 %",
    ],
)
def test_what_is_known_short_a_code_or_like_nothing_stays(typed: str) -> None:
    assert SHOP.correct(typed) == typed


def test_of_equally_near_words_one_that_begins_alike_wins_and_then_the_most_frequent() -> None:
    assert SHOP.correct("booots") == "boots"
    assert SHOP.correct("bootz") == "boots"
    assert SHOP.correct("toots") == "roots"
    assert SHOP.correct("tenf") == "tent"


@given(st.lists(st.text("abcde", min_size=3, max_size=9), min_size=1, max_size=30), st.data())
def test_a_correction_is_a_known_word_within_its_edits(known: list[str], data: st.DataObject) -> None:
    lexicon = Lexicon(dict.fromkeys(known, 1), {})
    word = data.draw(st.sampled_from(known))
    typo = data.draw(st.sampled_from(sorted(edits_of(word))))
    found = lexicon.correct(typo)
    if lexicon.knows(typo):
        assert found == typo
    else:  # the word it was is near, so something is found
        assert found in known
        assert found in edits_of(typo) or len(typo) >= 8


def test_words_are_those_of_all_text_columns() -> None:
    table = pa.table(
        {
            "item_id": ["secret", "tent"],
            "title": ["Ridge TENT, red-hot", None],
            "categories": [["Camping", None], None],
            "price": [1.0, 2.0],
            "material": pa.chunked_array([["Ripstop’s X100"], ["ripstop"]]),
        }
    )
    lexicon = Lexicon.of(Items(table), {})
    for word in ("ridge", "tent", "red", "hot", "camping", "ripstop", "s"):
        assert word in lexicon
    assert "secret" not in lexicon
    assert "x100" not in lexicon
    assert len(lexicon) == 7
    assert lexicon.correct("ripsotp") == "ripstop"


def test_words_of_further_records_are_known_from_then_on() -> None:
    assert SHOP.correct("jackot") == "jacket"
    more = SHOP.with_records([{"item_id": "tentx", "title": "The Jackot", "categories": ["Tenf"], "price": 3.0}])
    assert more.correct("jackot tenf") == "jackot tenf"
    assert more.correct("tentx") == "tent"
    assert SHOP.correct("jackot") == "jacket"
    assert SHOP.with_records([{"title": "Tent", "brand": "jacket"}]) is SHOP


def test_a_large_vocabulary_is_counted_whole() -> None:
    words = ["".join(letters) for letters in np.random.default_rng(0).choice(list(ALPHABET), (3000, 6))]
    lexicon = Lexicon.of(Items(pa.table({"item_id": [str(i) for i in range(len(words))], "title": words})), {})
    assert len(lexicon) == len(set(words))
    assert all(word in lexicon for word in words)
    assert words_of("One-two  3THREE") == ["one", "two", "3three"]


def test_of_a_long_query_so_many_words_are_looked_up_and_the_others_stay() -> None:
    typed = ["tnet"] * MAX_LOOKUPS + ["jaket"] * 3
    assert SHOP.correct(" ".join(typed)).split() == ["tent"] * MAX_LOOKUPS + ["jaket"] * 3
    known = ["tent"] * 500 + ["tnet"]
    assert SHOP.correct(" ".join(known)).split() == ["tent"] * 501


def test_words_of_any_length_are_known_and_no_giant_is_looked_up_or_found() -> None:
    giant = "ab" * 500_000
    lexicon = Lexicon({giant: 1, "a" * MAX_LENGTH: 1}, {})
    assert giant in lexicon
    assert lexicon.correct("a" * (MAX_LENGTH - 1) + "b") == "a" * MAX_LENGTH
    for typed in ("b" + giant, giant + "b", "a" * (MAX_LENGTH + 1)):
        assert lexicon.correct(typed) == typed


def test_many_later_words_join_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spelling, "MAX_ADDED", 3)
    lexicon = SHOP
    for title in ("anorak", "gaiters", "carabiner", "bivouac", "headlamp"):
        lexicon = lexicon.with_records([{"title": title}])
    for typed, corrected in (
        ("anorok", "anorak"),
        ("bivouak", "bivouac"),
        ("hedlamp", "headlamp"),
        ("jaket", "jacket"),
    ):
        assert lexicon.correct(typed) == corrected
    assert len(lexicon) == len(SHOP) + 5
    typed = Lexicon({"gram": 3}, {"grappling": 9})
    for title in ("anorak", "gaiters", "carabiner", "bivouac"):
        typed = typed.with_records([{"title": title}])
    assert typed.correct("grap", prefix=True) == "gram"


def test_threads_share_a_lexicon_which_no_correction_changes() -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {name: (id(value), len(value)) for name, value in vars(SHOP).items()}

    before, interval = state(), sys.getswitchinterval()
    queries = [f"tnet {'jaket' if i % 2 else 'waterprof'} {'abcdefgh'[i % 8] * (4 + i % 9)}" for i in range(400)]
    expected = [SHOP.correct(query) for query in queries]
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(SHOP.correct, queries * 5)) == expected * 5
    finally:
        sys.setswitchinterval(interval)
    assert state() == before


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("grap", "grap"),  # not gram
        ("a grap", "a grap"),
        ("grapplin", "grappling"),  # the nearest begins so
        ("grap hook", "gram hook"),  # it is not the last one
        ("grap ", "gram "),  # and is complete
        ("grax", "gram"),  # nothing begins so
        ("GRAP", "GRAP"),
        ("lanx grap", "lane grap"),
    ],
)
def test_a_last_word_that_may_be_unfinished_becomes_no_other(typed: str, corrected: str) -> None:
    later = Lexicon({"gram": 3, "lane": 2}, {}).with_records([{"title": "grappling"}])
    for lexicon in (Lexicon({"gram": 3, "grappling": 1, "lane": 2}, {}), later):
        assert lexicon.correct(typed, prefix=True) == corrected
        assert lexicon.correct("grap") == "gram"


def test_what_only_people_typed_is_no_word_that_somebody_may_be_typing() -> None:
    """No item has it, so that no item would be found by its beginning."""
    assert Lexicon({"gram": 3}, {"grappling": 9}).correct("grap", prefix=True) == "gram"


def lexicon_of(*titles: str) -> Lexicon:
    ids = [str(row) for row in range(len(titles))]
    return Lexicon.of(Items(pa.table({"item_id": ids, "title": list(titles)})), {})


FORMS = [
    ("T-Shirt", "tshirt"),
    ("T-Shirt", "t-shirt"),
    ("T-Shirt", "T-Shirts"),
    ("T-Shirt", "t shirt"),
    ("T\u2011Shirt", "tshirts"),
    ("T Shirt", "tshirt"),
    ("Tshirt", "t-shirt"),
    ("Tshirt", "t shirt"),
    ("E-Bike", "ebike"),
    ("E Bike", "ebikes"),
    ("Ebike", "e-bike"),
    ("L'Oréal", "l'oreal"),
    ("L’Oréal", "loréal"),
    ("L'Oréal", "loreal"),
    ("LOREAL", "l'oréal"),
    ("Rock'n'Roll", "rocknroll"),
    ("Rock ’n’ Roll", "rock'n'roll"),
    ("Rocknroll", "rock-n-roll"),
    ("Wi-Fi-Router", "wifi router"),
    ("WiFi", "wi-fi"),
    ("Snowboard", "snow board"),
    ("Men's", "mens"),
    ("O'Neill", "oneill"),
    ("Ping-Pong-Ball", "pingpong"),
    ("ΣΚΗΝΕΣ", "σκηνές"),
    ("ΣΚΗΝΕΣ", "σκηνες"),
    ("σκηνές", "ΣΚΗΝΕΣ"),
    ("Φακός", "ΦΑΚΟΣ"),
    ("İznik", "iznik"),
    ("İznik", "İZNİK"),
    ("İznik", "İznik"),
    ("iznik", "İznik"),
    ("kılıf", "KILIF"),
    ("Café", "cafe\u0301"),
    ("Cafe\u0301", "café"),
    ("Café", "CAFE"),
    ("Crème brûlée", "creme brulee"),
    ("Straße", "STRASSE"),
    ("Strasse", "straße"),
    ("Cœur", "coeur"),
    ("Stoﬀ", "stoff"),
    ("Stoff", "stoﬀ"),
    ("Jacket", "ｊａｃｋｅｔ"),
    ("Ｊａｃｋｅｔ", "jacket"),
    ("Ruck\u00adsack", "rucksack"),
    ("Rucksack", "ruck\u00adsack"),
    ("Rucksack", "ruck\u200bsack"),
    ("Rucksack", "ruck\u200d\u2060sack\ufeff"),
    ("Gore™ Jacket", "gore"),
    ("ёлка", "ЕЛКА"),
    ("O´Neill", "oneill"),
    ("O´Neill", "o'neill"),
    ("O'Neill", "o´neill"),
    ("O Neill", "oneill"),
    ("L´Occitane", "loccitane"),
    ("L′Occitane", "loccitane"),
    ("Hawaiʻi", "hawaii"),
    ("Mac’ʼs", "macs"),
    ("USB C", "usbc"),
    ("USB C", "usb-c"),
    ("X-Pro 2", "xpro2"),
    ("Dr. Rolls", "drrolls"),
    ("De Rolls", "derolls"),
    ("LE BOARD", "leboard"),
    ("Mc Reel", "mcreels"),
    ("Fan Shirt", "fanshirt"),
    ("Sleeping bag", "sleepingbags"),
    ("Bell & Rock", "bellrock"),
    ("Bell+Rock", "bell & rock"),
    ("i Bike", "ibike"),
    ("O Ring", "oring"),
    ("wi.fi", "wifi"),
    ("Wi/Fi", "wi-fi"),
    ("Việt Nam", "vietnam"),
    ("Việt Nam", "VIỆTNAM"),
    ("Điện thoại", "dienthoai"),
    ("Größe", "groesse"),
    ("Groesse", "GRÖSSE"),
    ("Müller Straße", "muellerstrasse"),
    ("Blåbær", "blaabaer"),
    ("Smørrebrød", "smoerrebroed"),
    ("Ⓣent", "tent"),
]


@pytest.mark.parametrize(("title", "typed"), FORMS)
def test_any_form_of_a_known_word_is_known(title: str, typed: str) -> None:
    parts = ["shirt", "bike", "reel", "rock", "roll", "root", "rolls", "fans", "rock", "ball", "bell", "board"]
    parts += ["neill", "occitane", "usb", "ring", "große", "muller", "tents", "macy"]
    for lexicon in (lexicon_of(title, *parts), lexicon_of(*parts).with_records([{"title": title}])):
        assert lexicon.knows(typed)
        assert lexicon.correct(f"  {typed}!  {typed}") == f"  {typed}!  {typed}"


@pytest.mark.parametrize(
    ("title", "typed", "corrected"),
    [
        ("T-Shirt", "red TSHRIT", "red tshirt"),
        ("L'Oreal", "Loreel!", "loreal!"),
        ("ΣΚΗΝΕΣ", "σκηνας", "σκηνες"),
        ("Straße", "strase", "straße"),
        ("Fußball", "fussbal", "fußball"),
        ("Café", "caffe\u0301 x", "café x"),
        ("Rucksack", "ruck\u00adsaac", "rucksack"),
        ("İznik", "İznikk", "iznik"),
    ],
)
def test_other_forms_are_corrected_to_what_the_catalog_writes(title: str, typed: str, corrected: str) -> None:
    assert lexicon_of(title).correct(typed) == corrected


@pytest.mark.parametrize("typed", ["tshrit", "shitr-rack", "e-bkie", "e-bikke"])
def test_a_part_that_makes_no_known_word_is_corrected(typed: str) -> None:
    assert lexicon_of("T-Shirt", "E-Bike", "rack").correct(typed) != typed


def test_words_that_stand_nowhere_beside_each_other_are_not_one() -> None:
    lexicon = lexicon_of("Ray Ban", "Rayon shirt", "Ban the rays. " * 20)
    assert lexicon.correct("rayban shirtt rayno therayon") == "rayban shirt rayon therayon"
    assert not lexicon.knows("banray")
    assert not lexicon.knows("banrayon")
    assert not lexicon.knows("banthe")  # of a long text, in which two words meet by chance


def test_words_of_a_later_item_stand_beside_each_other_too() -> None:
    before = lexicon_of("Ray", "Ban", "Rayan")
    assert before.correct("rayban") == "rayan"
    after = before.with_records([{"title": "Ban", "brand": "Ray Ban"}])
    assert after.correct("rayban") == "rayban"
    assert before.correct("rayban") == "rayan"
    assert after.with_records([{"title": "Ray Ban"}]) is after


def test_a_short_i_is_a_letter_of_its_own() -> None:
    assert lexicon_of("чай чайник").correct("чаиник") == "чайник"


def test_words_of_bundles_of_before_are_put_in_the_normal_form() -> None:
    lexicon = Lexicon({}, {"straße": 7, "σκηνες": 6, "tent": 5})
    assert lexicon.knows("STRASSE ΣΚΗΝΕΣ tent")


@given(st.lists(st.text("abcŞßéİı\u0301σς'-", min_size=1, max_size=8), min_size=1, max_size=4))
def test_what_the_catalog_says_is_known_in_capitals_and_out_of_them(words: list[str]) -> None:
    title = " ".join(words)
    lexicon = lexicon_of(title)
    for typed in (title, title.lower(), title.casefold(), unicodedata.normalize("NFD", title)):
        assert lexicon.knows(typed)
        assert lexicon.correct(typed) == typed
