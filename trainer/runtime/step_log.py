"""The step log of a training run: losses and figures of every step, one JSON object a line.

    {"step": 12, "losses": {"search": 3.1, "recommendation": 4.2}, "figures": {"α_s": 0.46, "α_r": 0.54},
     "tokens": 4096, "seconds": 0.27}

`step` counts applied and skipped steps from 0. `figures` are the method's own, such as the gates. `tokens` are those
that the model read, padding not counted, and `seconds` what the step took.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trainer.core.errors import TrainerError

__all__ = ["FILE_NAME", "StepLog", "StepRecord", "read_step_log", "summary"]

FILE_NAME = "training.jsonl"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step's line.

    losses: the mean loss of each task that the batch had.
    figures: the method's own figures, by name.
    tokens: how many tokens the model read; 0 in logs of before this was counted.
    seconds: how long the step took, which two equal runs need not agree on.
    """

    step: int
    losses: dict[str, float]
    figures: dict[str, float]
    tokens: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def speed(self) -> dict[str, float]:
        """The tokens a second, by the name that progress lines give them; empty where they are not known."""
        return {"tokens/s": self.tokens / self.seconds} if self.tokens and self.seconds > 0 else {}


class StepLog:
    """A step log open for writing.

    file: the log, which is made if it does not exist.
    start: the first step that will be written. Lines of this and later steps, from an interrupted run, are dropped.
    """

    def __init__(self, file: Path, *, start: int = 0) -> None:
        kept = [record for record in read_step_log(file) if record.step < start] if start and file.exists() else []
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}-draft")
        draft.write_text("".join(_line(record) for record in kept), encoding="utf-8")
        draft.replace(file)
        self._stream = file.open("a", encoding="utf-8")

    def add(self, record: StepRecord) -> None:
        self._stream.write(_line(record))

    def flush(self) -> None:
        """Writes everything to disk. Call it before saving a checkpoint: the log must have every step up to it."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_step_log(file: Path) -> list[StepRecord]:
    """All steps of a log. A last line that was cut off is left out.

    Raises TrainerError, naming file and line, for a file that is no step log.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainerError(f"{file} cannot be read ({error.strerror}): name a step log, {FILE_NAME}") from error
    complete = text.split("\n")[:-1]  # behind the last line break is nothing, or a line that was cut off
    records = []
    for number, line in enumerate(complete, 1):
        try:
            fields = json.loads(line)
            losses, figures = dict(fields["losses"]), dict(fields["figures"])
            tokens, seconds = int(fields.get("tokens", 0)), float(fields.get("seconds", 0))
            records.append(StepRecord(int(fields["step"]), losses, figures, tokens, seconds))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainerError(f"{file}, line {number} is no step of a step log ({error})") from error
    return records


def summary(records: Sequence[StepRecord]) -> dict[str, Any]:
    """How many steps were made, how long they took, and how many tokens they read, in all and in a typical second."""
    speeds = [speed for record in records for speed in record.speed.values()]
    return {
        "steps": len(records),
        "seconds": round(sum(record.seconds for record in records), 1),
        "tokens": sum(record.tokens for record in records),
        "tokens_per_second": round(statistics.median(speeds)) if speeds else None,
    }


def _line(record: StepRecord) -> str:
    return json.dumps(asdict(record) | {"seconds": round(record.seconds, 4)}, ensure_ascii=False) + "\n"
