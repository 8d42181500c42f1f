"""The records of a JSON file, as programs write them: one a line, in one array, or one after the other.

orjson reads the lines, because arrow's own JSON reader stops at the first broken one. What it refuses is read once more
by the standard library, which takes Python's `NaN` and `Infinity`, and control characters within strings.
"""

import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from catalog.data.reading.encoding import LineEncodings, encoding_error
from catalog.data.reading.extended_json import plain_record
from catalog.data.reading.stream import opened
from catalog.data.validation_report import ValidationReport

__all__ = ["JsonRecords", "read_json_records"]

MAX_SHOWN = 300
"""Characters of a record that are shown as they stand in the file."""
OVER_64_BITS = 2.0**63
MAX_AROUND = 2
"""Objects around a list of records, such as {"hits": {"hits": [...]}}."""
BYTE_ORDER_MARK = "\ufeff".encode()
RECORD_SEPARATOR = b"\x1e"
BETWEEN = re.compile(r"[\s,\x1e\ufeff]*")


@dataclass(slots=True)
class JsonRecords:
    """The objects of a file, and the number of each: of its line, or of the record in an array.

    constants: how many of `NaN` and `Infinity`, which are no JSON, were read as null.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    constants: int = 0


def read_json_records(path: Path, required: Set[str], report: ValidationReport) -> JsonRecords:
    """Everything in the file that is a record.

    required: names of which a record has one at least; an object without any, and with a list of records, is no record.
    report: counts what is not JSON, and what is no object, as faults. It learns to show records as they stand there.
    Raises one of `stream.DAMAGED` for a file that cannot be read, EncodingError for one in another encoding than UTF-8.
    """
    found = _whole(path, required, report) if _begins_as_an_array(path) else None
    if found is None:
        by_line = ValidationReport(report.subject, report.place)
        found = _lines(path, required, by_line)
        wrapped = len(found.rows) == 1 and not required & found.rows[0].keys()
        whole = _whole(path, required, report) if wrapped or by_line.broken > len(found.rows) else None
        if whole is None:
            report.merge(by_line)
            report.row_at = partial(_line_at, path)
        found = whole or found
    if found.constants:
        report.notes.append(f"NaN and Infinity are no JSON: {found.constants:,} of them were read as null")
    return found


def _begins_as_an_array(path: Path) -> bool:
    with opened(path) as stream:
        for line in stream:
            text = _bare(line)
            if text:
                return text.startswith(b"[")
    return False


def _lines(path: Path, required: Set[str], report: ValidationReport) -> JsonRecords:
    records, encodings = JsonRecords(), LineEncodings()
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            encodings.add(number, line)
            text = _bare(line)
            if not text or text in {b"[", b"]", b"],"}:  # an array with a record a line, of which another is broken
                continue
            report.read += 1
            row, why = _parsed(text, records)
            if isinstance(row, dict):
                records.rows.append(plain_record(row, required))
                records.numbers.append(number)
            else:
                reason = "line that is not JSON" if why else "line that is not a JSON object"
                example = f"{report.place} {number}: {why or repr(text[:40])}"
                report.count(reason, 1, [example], row=partial(_shown, text.decode("utf-8", "backslashreplace")))
    if encodings.is_other:
        raise encoding_error(path, encodings)
    return records


def _bare(line: bytes) -> bytes:
    """A line without white space, byte-order marks and record separators at its ends."""
    text = line.strip()
    while text.startswith((BYTE_ORDER_MARK, RECORD_SEPARATOR)):
        text = text.removeprefix(BYTE_ORDER_MARK).removeprefix(RECORD_SEPARATOR).strip()
    return text


def _parsed(text: bytes, records: JsonRecords) -> tuple[Any, str]:
    """The value of a line; or None, and what is wrong with it."""
    import orjson

    try:
        value = orjson.loads(text)
        return _with_digits(value, text), ""
    except orjson.JSONDecodeError as fault:
        why = str(fault)
    within = text.removesuffix(b",")
    for attempt in dict.fromkeys((within, within.removeprefix(b"[").removesuffix(b"]").removesuffix(b","))):
        try:
            return _encodable(_lenient(records).decode(attempt.decode("utf-8"))), ""
        except (ValueError, RecursionError):
            continue
    return None, why


def _whole(path: Path, required: Set[str], report: ValidationReport) -> JsonRecords | None:
    """The objects of a file that is read as a whole: an array, or objects of several lines each; None for another."""
    import orjson

    with opened(path) as stream:
        data = stream.read()
    records = JsonRecords()
    try:
        values = [_with_digits(orjson.loads(data), data)]
    except orjson.JSONDecodeError:
        try:
            values = _encodable(list(_values(data.decode("utf-8"), records)))
        except (ValueError, RecursionError):
            return None
    if len(values) == 1:
        values = _listed(values[0], required)
    counted = ValidationReport(report.subject, report.place, read=len(values))
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            records.rows.append(plain_record(value, required))
            records.numbers.append(number)
        else:
            example = f"record {number}: {json.dumps(value)[:40]}"
            counted.count("record that is not a JSON object", 1, [example], row=partial(_shown, json.dumps(value)))
    if not records.rows:
        return None
    report.place = report.place.removesuffix("line") + "record"
    report.merge(counted)
    report.row_at = lambda number: _shown(json.dumps(values[number - 1], ensure_ascii=False, default=str))
    return records


def _values(text: str, records: JsonRecords) -> Iterator[Any]:
    """JSON values that follow each other. Raises ValueError where something else does."""
    decoder = _lenient(records)
    place = BETWEEN.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value
        place = BETWEEN.match(text, place).end()  # type: ignore[union-attr]


def _listed(value: Any, required: Set[str]) -> list[Any]:
    """The records of an array, or of objects around one, such as {"items": [...], "total": 2}."""
    if isinstance(value, list):
        return value
    around = value
    for _ in range(MAX_AROUND):
        if not isinstance(around, dict) or required & around.keys():
            break
        lists: list[list[Any]] = [entry for entry in around.values() if _is_list_of_records(entry)]
        if len(lists) == 1:
            return lists[0]
        objects = [entry for entry in around.values() if any(map(_is_list_of_records, _values_of(entry)))]
        around = objects[0] if len(objects) == 1 and not lists else None
    return [value]


def _values_of(entry: Any) -> list[Any]:
    return [*entry.values()] if isinstance(entry, dict) else []


def _is_list_of_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _with_digits(value: Any, text: bytes) -> Any:
    """The value of a JSON text with all digits of its whole numbers: orjson makes floats of those over 64 bits."""
    return json.loads(text) if _has_long_number(value) else value


def _has_long_number(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_long_number, value))
    fields = value.values() if isinstance(value, dict) else [value]
    return any(type(field) is float and abs(field) >= OVER_64_BITS for field in fields)


def _encodable(value: Any) -> Any:
    """The value. Raises ValueError where a text in it has half of a surrogate pair, which nothing can write."""
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _lenient(records: JsonRecords) -> json.JSONDecoder:
    def constant(_name: str) -> None:
        records.constants += 1

    return json.JSONDecoder(strict=False, parse_constant=constant)


def _line_at(path: Path, number: int) -> str:
    with opened(path) as stream:
        line = next(islice(stream, number - 1, None), b"")
    return _shown(_bare(line).decode("utf-8", "backslashreplace"))


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
