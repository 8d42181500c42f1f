"""What a server under attack may have printed: whole lines of JSON or of its own words, and no tracebacks."""

import json
from dataclasses import dataclass
from typing import Any

OWN_WORDS = ("engine: starting\n", "engine: stopped\n", "gemserve: ready on ")


@dataclass(frozen=True)
class Logged:
    lines: list[str]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines if not line.startswith(OWN_WORDS)]

    def examine(self) -> None:
        """No line is forged, none can change a terminal, and nothing inside the server went wrong."""
        for line in self.lines:
            assert line.endswith("\n")
            assert line[:-1].isascii(), line
            assert line[:-1].isprintable(), line
        for record in self.records():
            assert record["event"] != "internal_error", record
            assert "exception" not in record, record
            assert record["level"] in {"info", "warning"}, record
