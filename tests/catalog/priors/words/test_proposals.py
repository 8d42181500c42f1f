"""Words that mean the same are told from words that go together, of clicks in which both are planted."""

import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
import yaml

import catalog.importers.shop
from catalog.importers.shop import build_shop
from catalog.priors.words import analyzer, words_of
from catalog.priors.words.places import pieces
from catalog.priors.words.proposals import MIN_PEOPLE, ProposalSettings, Proposed, proposals

Event = tuple[str, str, str | None]
COLOURS = {"red": ["red", "crimson"], "blue": ["blue"], "green": ["green"], "grey": ["grey"]}
BRANDS = ["norvik", "alpina", "tarnwell", "lumiska"]
KINDS = {
    "tent": ["tent", "bivouac", "tipi"],
    "coat": ["rain jacket", "cagoule"],
    "lamp": ["lantern"],
    "stove": ["stove", "cooker"],
    "bag": ["sleeping bag"],
    "mat": ["sleeping mat"],
    "boot": ["boots"],
    "sock": ["socks"],
    "rope": ["rope"],
}
PLANTED = {
    frozenset(pair)
    for pair in [
        ("tent", "bivouac"),
        ("tent", "tipi"),
        ("bivouac", "tipi"),
        ("rain jacket", "cagoule"),
        ("stove", "cooker"),
        ("red", "crimson"),
    ]
}


def store(people: int, seed: int) -> list[Event]:
    """What people took who each looked for a few things by brand, colour and kind, in this order, or by fewer words.

    One click in eight goes to what everybody takes, one in five to something else of the kind.
    """
    draw = random.Random(seed)
    items = [
        (kind, colour, brand, place) for kind in KINDS for colour in COLOURS for brand in BRANDS for place in (1, 2)
    ]
    events: list[Event] = []
    for person in range(people):
        for _ in range(draw.randint(4, 10)):
            wanted = draw.choice(items)
            kind, colour, brand, _ = wanted
            words = [draw.choice(COLOURS[colour])] if draw.random() < 0.4 else []
            words = [brand, *words] if draw.random() < 0.3 else words
            noun = draw.choice(KINDS[kind])
            noun += "s" if draw.random() < 0.2 and noun == "tent" else ""
            query = " ".join([*words, noun]) + (" for camping" if draw.random() < 0.2 else "")
            said = [
                one
                for one in items
                if one[0] == kind and (len(words) == 0 or one[1] == colour) and (brand not in words or one[2] == brand)
            ]
            taken = draw.choice(said)
            if draw.random() < 0.2:
                taken = draw.choice([one for one in items if one[0] == kind])
            if draw.random() < 0.125:
                taken = items[draw.randrange(3)]
            events.append((f"person {person}", str(taken), query if draw.random() < 0.95 else None))
    return events


def found(events: Sequence[Event], **settings: float) -> list[Proposed]:
    return proposals(*zip(*events, strict=True), ProposalSettings(**settings))  # type: ignore[arg-type]


def pairs(sets: Sequence[Proposed]) -> set[frozenset[str]]:
    return {frozenset(pair.words) for one in sets for pair in one.pairs}


@pytest.mark.parametrize("seed", range(3))
def test_planted_synonyms_are_found_and_nothing_else(seed: int) -> None:
    """Not colours and kinds, which are typed together, nor two brands, nor the words of one phrase, nor plurals."""
    assert pairs(found(store(1_500, seed))) == PLANTED


def test_words_that_go_together_would_be_taken_for_synonyms_but_for_what_stands_beside_them() -> None:
    """Both tests are needed: without them there is more, though clicks are alike."""
    events = [(f"p{n}", f"item {n % 3}", query) for n in range(60) for query in ("head torch", "headtorch")]
    events += [(f"q{n}", f"item {n % 3}", query) for n in range(60) for query in ("head light", "strong head")]
    events += [(f"r{n}", f"item {n % 40 + 10}", "gloves") for n in range(200)]
    assert frozenset(("head", "headtorch")) not in pairs(found(events))
    assert frozenset(("head", "headtorch")) in pairs(found(events, beside=0.0))
    assert frozenset(("head torch", "headtorch")) in pairs(found(events))


def asked(word: str, people: Sequence[str], items: int = 3) -> list[Event]:
    return [(person, f"item {place % items}", word) for place, person in enumerate(people)]


OTHERS = [(f"other {n}", f"else {n % 50}", "gloves") for n in range(300)]


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix} {number}" for number in range(count)]


def test_fewer_than_five_people_are_never_told_of() -> None:
    tents = asked("tent", names(30, "a"))
    assert pairs(found([*OTHERS, *tents, *asked("bivouac", names(12, "b"))])) == {frozenset(("tent", "bivouac"))}
    assert found([*OTHERS, *tents, *asked("bivouac", names(4, "b") * 25)]) == [], "however often they type it"
    with pytest.raises(ValueError, match="fewer than 5 people"):
        ProposalSettings(people=MIN_PEOPLE - 1)


@pytest.mark.parametrize("typed", [["bivouac"] * 3 + ["bivouacs"] * 3, ["bivouac"] * 4 + ["Bivouacs"] * 4])
def test_a_form_that_fewer_than_five_typed_is_not_shown_for_its_stem(typed: list[str]) -> None:
    events = [(f"b {n}", f"item {n % 3}", word) for n, word in enumerate(typed)]
    assert found([*OTHERS, *asked("tent", names(30, "a")), *events]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("tent", "tents"), ("tent", "red tent"), ("tent", "TENT!"), ("rain jacket", "rain coat"), ("tent", "60")],
)
def test_what_is_no_other_word(one: str, other: str) -> None:
    events = [*OTHERS, *asked(one, names(40, "a")), *asked(other, names(40, "b"))]
    shown = pairs(found(events))
    assert frozenset((one, other)) not in shown
    assert all(len(pair) == 2 for pair in shown)


def test_what_people_type_together_means_two_things() -> None:
    events = [*OTHERS, *asked("tent", names(20, "a")), *asked("bivouac", names(20, "b"))]
    assert pairs(found(events)) == {frozenset(("tent", "bivouac"))}
    assert frozenset(("tent", "bivouac")) not in pairs(found([*events, *asked("tent bivouac", names(10, "c"))]))


def test_what_everybody_takes_makes_no_words_alike() -> None:
    """Both lead to the favourite in half of the clicks, and to nothing else in common."""
    events = [(f"{word} {n}", "favourite" if n % 2 else f"{word} {n % 8}", word) for word in KINDS for n in range(80)]
    assert found(events) == []


def test_one_person_does_not_make_words_alike_with_themselves() -> None:
    """Everybody takes an item of their own after both words: no two people agree."""
    events = [(f"p{n}", f"item {n}", word) for n in range(40) for word in ("tent", "bivouac")]
    assert found(events) == []


def test_nothing_comes_of_nothing() -> None:
    assert proposals([], [], []) == []
    assert proposals(["a"], ["b"], [None]) == []
    assert found([("a", "b", "!!"), ("a", "b", "60 60"), ("a", "b", "x" * 10_000)]) == []


def test_sets_are_ready_to_be_written() -> None:
    (one,) = found([event for word in ("tent", "tipi", "yurt") for event in asked(word, names(30, word))] + OTHERS)
    assert sorted(one.synonyms) == ["tent", "tipi", "yurt"]
    assert len(one.pairs) == 3
    assert one.id == f"proposed {one.synonyms[0]} = {one.synonyms[1]}"
    assert all(min(pair.people) == 30 and pair.shared == 3 and pair.similarity >= 0.9 for pair in one.pairs)


def stems(text: str) -> tuple[str, ...]:
    words = analyzer("english")
    return tuple(next(iter(words_of(words, piece[0])), piece[0]) for piece in pieces(text))


def ways_to_say() -> list[list[tuple[str, ...]]]:
    """How the people of the bundled store ask for each kind of product and each property."""
    folder = Path(catalog.importers.shop.__file__).parent
    kinds = yaml.safe_load((folder / "kinds.yaml").read_text())
    properties = yaml.safe_load((folder / "attributes.yaml").read_text())
    said = [[*kind["typed"], *kind["nouns"]] for kind in kinds]
    said += [[*one["typed"], one["label"]] for values in properties.values() for one in values]
    return [[stems(text) for text in texts if text] for texts in said]


def differing(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is left of two texts without the words with which both begin or end."""
    if one and other and one[0] == other[0]:
        return differing(one[1:], other[1:])
    if one and other and one[-1] == other[-1]:
        return differing(one[:-1], other[:-1])
    return one, other


def test_most_of_what_the_bundled_store_proposes_is_said_of_one_thing() -> None:
    """A pair is right where the word lists have both for one kind or property, whole or in the place of each other."""
    right: set[frozenset[tuple[str, ...]]] = set()
    for said in ways_to_say():
        for one, other in combinations(said, 2):
            right |= {frozenset((one, other)), frozenset(differing(one, other))}
    events = build_shop().events
    users, items, queries = (events[name].to_pylist() for name in ("user_id", "item_id", "query"))
    proposed = pairs(proposals(users, items, queries))
    wrong = {pair for pair in proposed if frozenset(map(stems, pair)) not in right}
    assert len(proposed) > 70
    assert len(wrong) < 0.06 * len(proposed), wrong
