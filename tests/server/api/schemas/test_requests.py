"""Names of parameters: which are known, by which other names, and which are ignored."""

import json
import time
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from server.api.schemas.events import EventBody
from server.api.schemas.queries.batch import LINES, BatchParameters
from server.api.schemas.queries.parameters import (
    RecommendBody,
    SearchBody,
    SearchParameters,
    SimilarParameters,
    VisitBody,
)
from server.api.schemas.requests import RequestModel, conform, is_tracking, names_of, other_names, schema_of
from server.api.schemas.users import HistoryParameters, MergeBody
from server.core.errors import Problem

MODELS = [SearchParameters, SearchBody, RecommendBody, SimilarParameters, HistoryParameters, MergeBody, EventBody]


class Order(RequestModel):
    in_url: ClassVar[bool] = True

    count: Annotated[int, Field(ge=1, description="how many", json_schema_extra=other_names("number", "n"))] = 1
    colours: list[str] | None = None


class OrderBody(Order):
    in_url: ClassVar[bool] = False


def faults(value: object, model: type[RequestModel]) -> list[dict[str, str]]:
    with pytest.raises(Problem) as raised:
        conform(value, model)
    found: list[dict[str, str]] = raised.value.members["errors"]
    return found


@pytest.mark.parametrize("given", [{"count": 2}, {"number": 2}, {"n": "2"}, {"n": 2, "count": 2}])
def test_a_field_is_known_by_its_other_names(given: dict[str, object]) -> None:
    assert conform(given, Order).count == 2


def test_two_names_that_say_different_things_are_refused() -> None:
    (fault,) = faults({"n": 2, "count": 3}, Order)
    assert (fault["field"], fault["code"]) == ("count", "two_names")
    assert "n and count" in fault["message"]


def test_what_another_name_says_is_checked_as_the_fields_own_and_told_by_that_name() -> None:
    assert faults({"n": 0}, Order)[0] == faults({"count": 0}, Order)[0] | {"field": "n"}


@pytest.mark.parametrize("name", ["hidden_hits", "pinned_hits"])
def test_a_later_part_of_one_text_with_commas_is_told_where_it_is_wrong(name: str) -> None:
    found = faults({"q": "tent", name: ["tent-1:1,tent-2:2,\x01"]}, SearchParameters)
    assert found
    assert all(fault["field"].startswith(name) for fault in found)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cuont", "did you mean count?"), ("nubmer", "did you mean number?"), ("weight", "the names are colours, count")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    (fault,) = faults({name: 1, "count": 1}, Order)
    assert (fault["field"], fault["code"]) == (name, "extra_forbidden")
    assert hint in fault["message"]


def test_tracking_parameters_are_ignored_in_a_url_alone() -> None:
    assert conform({"n": 2, "utm_source": "mail", "gclid": "x"}, Order).count == 2
    assert faults({"n": 2, "utm_source": "mail"}, OrderBody)[0]["field"] == "utm_source"


@pytest.mark.parametrize(
    "name",
    [
        *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id", "gclid", "fbclid", "_"),
        *("msclkid", "dclid", "gbraid", "wbraid", "mc_cid", "mc_eid", "yclid", "ttclid", "twclid", "igshid"),
        *("_ga", "_gl"),
    ],
)
def test_tracking(name: str) -> None:
    assert is_tracking(name)


def test_no_parameter_looks_like_tracking_and_no_other_name_hides_a_field() -> None:
    for model in [*MODELS, *LINES.values(), BatchParameters, VisitBody]:
        names = names_of(model)
        assert not any(map(is_tracking, [*names.fields, *names.others]))
        assert not names.fields & names.others.keys()


def test_other_names_are_in_the_schema_under_the_same_rules() -> None:
    properties = schema_of(Order)["properties"]
    assert list(properties) == ["count", "colours", "number", "n"]
    assert properties["n"] == {"type": "integer", "minimum": 1, "description": "another name of `count`"}
    assert "x-" not in json.dumps(schema_of(Order))


@pytest.mark.parametrize("model", [SearchBody, EventBody, LINES["similar"]], ids=lambda model: model.__name__)
def test_a_body_of_nothing_but_unknown_names_is_refused_in_no_time(model: type[RequestModel]) -> None:
    """Every unknown name was an error of its own: 2 MB of them took half a second, in the event loop."""
    body = {"x" * 100 + str(number): 1 for number in range(20_000)} | {"x" * 1_000_000: 1}
    begun = time.process_time()
    assert len(faults(body, model)) == 1
    assert time.process_time() - begun < 0.05
