"""Measures what a GPU does with this project, in under nine minutes, with torch and transformers but without vLLM.

    python -m loadtest.gpu --out DIR [--parts exactness search training] [--minutes training=4 …] [--small]
        [--device cuda|cpu]

* exactness: constrained searches on the card against those on the processor, in float32: the same items?
* search: the transformers driver with a Qwen3-1.7B shape, 1.5 million items of 3 codes of 8,192, prompts of 300, 1,000
  and 2,465 tokens and beams of 50 to 512, beside the card's roofline and what others have published.
* training: a step of GEMS, of its released procedure, of AdamW and of LoRA on the shapes of Qwen2.5-1.5B and 3B, in
  bfloat16: its time and the peak of its memory.

All weights are random; nothing is fetched. Each part is a process that writes DIR/PART.json after every row, so that a
crash, a lack of memory or of time costs the rows that are missing and no others; DIR/PART.log has what it printed.
Minutes that a part leaves over go to the next. `--small` has sizes that a processor measures in seconds.

The exit status is 0; 1 where a part did not end or the card's searches are not exact; 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from loadtest.gpu.parts import MINUTES, part_module

GRACE_SECONDS = 5.0  # for a part that is past its time to end by itself


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--parts", nargs="+", choices=list(MINUTES), default=list(MINUTES))
    parser.add_argument(
        "--minutes", nargs="+", type=_minutes, default=[], metavar="PART=MINUTES", help="how long a part may take"
    )
    parser.add_argument("--small", action="store_true", help="sizes that a processor measures in seconds")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda; with --small cpu where there is none")
    parser.add_argument("--only", choices=list(MINUTES), help=argparse.SUPPRESS)  # the process of a part
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _minutes(text: str) -> tuple[str, float]:
    part, equals, minutes = text.partition("=")
    try:
        if part not in MINUTES or not equals or not float(minutes) > 0:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not PART=MINUTES, as in training=4; the parts are {', '.join(MINUTES)}"
        ) from None
    return part, float(minutes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, print their tables, and return the exit status."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only is not None:
        return run_part(options)
    budget = MINUTES | dict(options.minutes)
    ended_well, left_over = True, 0.0
    for part in options.parts:
        seconds = 60 * budget[part] + left_over
        began = time.monotonic()
        status = _run_process(part, seconds, options)
        left_over = max(0.0, seconds - (time.monotonic() - began))
        if status == 2:
            print((options.out / f"{part}.log").read_text(encoding="utf-8").strip(), file=sys.stderr)
            return 2
        ended_well &= _report(part, status, options.out)
    return 0 if ended_well else 1


def run_part(options: argparse.Namespace) -> int:
    """Run one part in this process: the status is 0, 1 where searches are not exact, or 2 where there is no GPU."""
    import torch

    from loadtest.gpu.journal import Journal

    device = options.device or ("cuda" if torch.cuda.is_available() or not options.small else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        print("loadtest.gpu: torch sees no GPU here; --small measures a processor instead", file=sys.stderr)
        return 2
    module = part_module(options.only)
    sizes = module.SMALL if options.small else module.WHOLE
    file = options.out / f"{options.only}.json"
    journal = Journal(file, options.only, device, options.seconds, module.setup_of(sizes))
    module.run(sizes, device, journal)
    return 0 if module.is_right(journal.finish()) else 1


def _run_process(part: str, seconds: float, options: argparse.Namespace) -> int | None:
    """The exit status of the part's process; None if it had to be ended."""
    command = [sys.executable, "-m", "loadtest.gpu", "--out", str(options.out), "--only", part]
    command += ["--seconds", str(seconds), *(["--small"] if options.small else [])]
    command += ["--device", options.device] if options.device else []
    (options.out / f"{part}.json").unlink(missing_ok=True)  # of a run before
    with (options.out / f"{part}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            return process.wait(seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the processes of its methods
                process.wait()


def _report(part: str, status: int | None, out: Path) -> bool:
    """Show the part's report and say in it how it ended; returns whether it ended well."""
    file = out / f"{part}.json"
    module = part_module(part)
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"part": part}
    if report.get("state") != "done":
        report["state"] = "ended, because its time was over" if status is None else f"crashed with status {status}"
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if "rows" in report:
        module.show(report)
    if report["state"] != "done" or not _right(module, report):
        last_lines = (out / f"{part}.log").read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        print(f"\n{part}: {report['state']}", *last_lines, sep="\n  ")
    return report["state"] == "done" and _right(module, report)


def _right(module: ModuleType, report: dict[str, Any]) -> bool:
    return "rows" in report and bool(module.is_right(report))


if __name__ == "__main__":
    raise SystemExit(main())
