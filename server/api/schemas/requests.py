"""What a request holds: the parameters of its URL or the JSON of its body, read into a RequestModel.

A name that no field has is refused, with the nearest one that is known: a typing error should not be passed over. Two
kinds of names are understood beside the fields' own: the other names that a field is known by (`other_names`), and in
a URL what campaigns and browsers add to every link (`is_tracking`), which is ignored. A route that reads no parameters
of its URL says so with `no_parameters`, so that one which is there is refused too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from catalog.nearest import nearest_name
from server.api.schemas.json_text import load_json
from server.core import errors
from server.core.errors import MAX_ERRORS, MAX_NAME_LENGTH, Problem, describe

__all__ = [
    "RequestModel",
    "as_sent",
    "body_of",
    "check_media_type",
    "conform",
    "is_tracking",
    "media_type_of",
    "no_parameters",
    "other_names",
    "query_of",
    "read_json",
    "read_model",
    "read_query",
    "schema_of",
]

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")

OTHER_NAMES = "x-other-names"  # in a field's JSON schema
TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_")
TRACKING = frozenset(
    {
        *("_", "_ga", "_gac", "_gl", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_source", "gad_campaignid"),
        *("srsltid", "fbclid", "igsh", "igshid", "msclkid", "yclid", "ttclid", "twclid", "li_fat_id", "epik"),
        *("rdt_cid", "s_kwcid", "mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi"),
    }
)


def is_tracking(name: str) -> bool:
    """Whether this is a parameter that mails, advertisements and scripts add to any URL, to tell where people came
    from or to get past a cache."""
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def other_names(*names: str) -> dict[str, Any]:
    """For `json_schema_extra` of a field: names by which requests may give it too."""
    return {OTHER_NAMES: list(names)}


class RequestModel(BaseModel):
    """What a request may hold. in_url: whether it is that of a URL, where tracking parameters are ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_url: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _by_field(cls, given: Any) -> Any:
        """The values by the names of the fields. Raises PydanticCustomError for a name that is not known, and where
        two names of one field have different values."""
        names = names_of(cls)
        if not isinstance(given, dict) or given.keys() <= names.fields:
            return given
        values: dict[str, Any] = {}
        for name, value in given.items():
            field = name if name in names.fields else names.others.get(name)
            if field is None and cls.in_url and is_tracking(name):
                continue
            if field is None:
                raise _unknown(name, names)
            if field in values and values[field] != value:
                two = " and ".join(other for other in given if names.others.get(other, other) == field)
                text = "{two} are names of one parameter and say different things: give one of them"
                raise PydanticCustomError("two_names", text, {"field": field, "two": two})
            values[field] = value
        return values


@dataclass(frozen=True, slots=True)
class Names:
    """fields: of a model. others: further names, and the fields that they are of. lists: the fields that hold lists.
    required: the fields that have no default."""

    fields: frozenset[str]
    others: Mapping[str, str]
    lists: frozenset[str]
    required: frozenset[str]


@cache
def names_of(model: type[BaseModel]) -> Names:
    fields = model.model_fields
    extras = {name: field.json_schema_extra for name, field in fields.items()}
    others = {
        str(other): name
        for name, extra in extras.items()
        if isinstance(extra, dict)
        for other in _texts(extra.get(OTHER_NAMES))
    }
    return Names(
        frozenset(fields),
        others,
        frozenset(name for name, field in fields.items() if _holds_list(field.annotation)),
        frozenset(name for name, field in fields.items() if field.is_required()),
    )


def _texts(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _holds_list(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))


def _unknown(name: str, names: Names) -> PydanticCustomError:
    near = nearest_name(name, [*names.fields, *names.others])
    hint = f"did you mean {near}?" if near is not None else f"the names are {', '.join(sorted(names.fields))}"
    text = "is not a name that is known here: {hint}"
    return PydanticCustomError("extra_forbidden", text, {"field": name, "hint": hint})


def no_parameters(body: type[BaseModel] | None = None) -> Any:
    """For `dependencies=` of a route that takes nothing in its URL: a parameter there is refused, with the nearest name
    that `body` has. Tracking parameters are ignored."""

    async def refuse(request: Request) -> None:
        if faults := _faults_of_url(request, body):
            raise errors.invalid_request(faults)

    return Depends(refuse)


def _faults_of_url(request: Request, body: type[BaseModel] | None) -> list[dict[str, str]]:
    unknown = [name for name in request.query_params if not is_tracking(name)]
    return [
        {"field": name[:MAX_NAME_LENGTH], "code": "extra_forbidden", "message": _belongs_elsewhere(name, body)}
        for name in unknown[:MAX_ERRORS]
    ]


def _belongs_elsewhere(name: str, body: type[BaseModel] | None) -> str:
    if body is None:
        return "is not a name that is known here: this URL takes no parameters"
    names = names_of(body)
    if name in names.fields or name in names.others:
        return "is not read from the URL here: send it in the body"
    near = nearest_name(name, [*names.fields, *names.others])
    hint = f"did you mean {near}? Send it in the body" if near is not None else "this URL takes no parameters"
    return f"is not a name that is known here: {hint}"


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, *media_types: str) -> str:
    """The media type of the body. Raises Problem where it is neither application/json nor one of these,
    where "" is a body without one."""
    kind = media_type_of(request)
    if kind not in {"application/json", *media_types}:
        named = " or ".join(["application/json", *filter(None, media_types)])
        detail = f"the Content-Type is {kind[:100] or 'missing'}: send {named}"
        raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, detail)
    return kind


async def read_json(request: Request, convert: Callable[[object], Value], *media_types: str) -> Value:
    """What `convert` makes of the body, which may have one of `media_types` beside application/json.

    `convert` is called in a thread where the body is large. Raises Problem where the body is no JSON.
    """
    check_media_type(request, *media_types)
    return await load_json(await request.body(), "the body", convert)


async def read_model(request: Request, model: type[Model]) -> Model:
    """The body. Raises Problem where it is no JSON, or not what the model describes.

    FastAPI's own bodies are read before a caller's key is looked at, and answer other problems.
    """
    return await read_json(request, partial(conform, model=model))


def read_query(request: Request, model: type[Model]) -> Model:
    """The parameters of the URL; of one that comes twice the last counts. Raises Problem where they are not what the
    model describes.

    One that is blank, as a form sends a field that was left empty, is as if it were not there, but for those that have
    to be: a blank `q` is a query without a text. FastAPI's own reading fills in the defaults, so that nobody could tell
    any more what was given.
    """
    names = names_of(model)
    may_be_blank = names.fields - names.required
    given: dict[str, list[str]] = {}
    for name, text in request.query_params.multi_items():
        if text.strip() or names.others.get(name, name) not in may_be_blank:
            given.setdefault(name, []).append(text)
    return conform(
        {name: texts if names.others.get(name, name) in names.lists else texts[-1] for name, texts in given.items()},
        model,
    )


def conform(value: object, model: type[Model]) -> Model:
    """Raises Problem where a value is not what the model describes."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise errors.invalid_request(describe(as_sent(error, value, model))) from error


def as_sent(error: ValidationError, value: object, model: type[BaseModel]) -> list[dict[str, Any]]:
    """The first of pydantic's errors, each at the name by which the value that is wrong was sent."""
    found = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
    return [{**fault, "loc": tuple(_names_sent(fault["loc"], value, model))} for fault in found]


def _names_sent(place: Sequence[int | str], value: Any, model: type[BaseModel] | None) -> Iterator[int | str]:
    for part in place:
        name = part
        if isinstance(value, dict) and model is not None and isinstance(part, str):
            others = names_of(model).others
            name = part if part in value else next((other for other in value if others.get(other) == part), part)
            field = model.model_fields.get(part)
            model = None if field is None else _model_in(field.annotation)
        yield name
        value = _part_of(value, name)


def _part_of(value: Any, name: int | str) -> Any:
    """None where there is none: of a list that was sent as one text, only the model knows the elements."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and isinstance(name, int) and name < len(value):
        return value[name]
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field's value, or of the elements of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema, in which a field's other names are properties too, and the models of fields stand where they
    are used."""
    schema = model.model_json_schema()
    models = {f"#/$defs/{name}": _with_other_names(inner) for name, inner in schema.pop("$defs", {}).items()}
    return cast(dict[str, Any], _inlined(_with_other_names(schema), models))


def _inlined(schema: Any, models: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, models) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if (inner := models.get(schema.get("$ref", ""))) is not None:
        return _inlined(inner | {name: part for name, part in schema.items() if name != "$ref"}, models)
    return {name: _inlined(part, models) for name, part in schema.items()}


def _with_other_names(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    properties = dict(schema["properties"])
    for name, field in schema["properties"].items():
        for other in field.pop(OTHER_NAMES, ()):
            same = {part: text for part, text in field.items() if part not in {"default", "title"}}
            properties[other] = same | {"description": f"another name of `{name}`"}
    return schema | {"properties": properties}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads such a body."""
    content = {"application/json": {"schema": schema_of(model)}}
    return {"requestBody": {"required": True, "content": content}}


def query_of(model: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads such parameters of its URL."""
    schema = schema_of(model)
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": field,
                "description": field["description"],
            }
            for name, field in schema["properties"].items()
        ]
    }
