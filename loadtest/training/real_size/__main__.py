"""Proves without a hub that a model of a published size can be trained, published and served here.

    python -m loadtest.training.real_size --model qwen2.5-0.5b|t5-base --json FILE [--data ../shared/data]

makes a checkpoint of the model's exact shape with random weights, in bfloat16 with a byte-level tokenizer of 151,643
entries for Qwen and with T5's own tokenizer for T5; takes three steps of GEMS by the recipe `qwen2.5-3b` or `t5-base`,
with null spaces of general text and gradient checkpointing; publishes the bundle; starts the server with it, vLLM for
Qwen and transformers for T5; and asks it. The report has the seconds of each stage and the peak of its memory: that of
all its processes together, which is read ten times a second.

--data is the folder of the general corpus and T5's tokenizer. Needs about 12 GiB of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from gemserve.child import run_child
from loadtest.load.server_process import start_server
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.training.real_size.checkpoints import MODELS, make_data

__all__ = ["main"]

RECIPES = {"qwen2.5-0.5b": "qwen2.5-3b", "t5-base": "t5-base", "qwen2.5-tiny": "qwen2.5-3b"}
RANKS = {"qwen2.5-tiny": ("gems.rank=8",)}  # of a model too narrow for the recipe's
STEPS = 3
ASKED = "red lamp"
EVERY_SECONDS = 0.1
LOG_LINES = 30
SETTINGS = (
    f"training.steps={STEPS}",
    "training.search_sequences=2",
    "training.recommendation_sequences=2",
    "training.micro_batch=2",
    "identifiers.code_sizes=[16,16,16]",
    "backbone.gradient_checkpointing=true",
    "evaluation.width=20",
)
"""Of the data's size; all others are the recipe's."""
GENERAL_TEXT = ("null_space.texts=80", "null_space.text_tokens=64", "null_space.energy=0.5")
"""The fewest tokens from which null spaces of layers 4,864 wide can be estimated, and half of their energy, as random
weights spread it over more directions than a sketch keeps."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.training.real_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--json", type=Path, required=True, help="where to write the report")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="general corpus and tokenizers")
    parser.add_argument("--no-serve", action="store_true", help="end when the bundle is published")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a folder in which to work, which is kept")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Go through all stages, print the table and write the report; the exit status is 0, or 2 where a stage failed."""
    options = parse(arguments)
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        report: dict[str, Any] = {"model": options.model, "stages": {}, "machine": asdict(Machine.here())}
        try:
            _all_stages(options.model, options.data, folder, report, serve=not options.no_serve)
        except LoadtestError as error:
            print(f"loadtest.training.real_size: {error}", file=sys.stderr)
            return 2
        finally:
            options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    rows = [(name, stage["seconds"], stage["peak_bytes"] / 2**20) for name, stage in report["stages"].items()]
    print_table(f"{options.model}, {STEPS} steps of GEMS", ("stage", "seconds", "peak MiB"), rows)
    return 0


def _all_stages(model: str, data: Path, folder: Path, report: dict[str, Any], *, serve: bool) -> None:
    corpus, t5 = data / "general-corpus/wikipedia_en_sample.txt.gz", data / "tokenizers/t5_tokenizer.json.gz"
    checkpoint, bundles = folder / "checkpoint", folder / "bundles"
    items, events = make_data(folder)
    with _stage(report, "checkpoint"):
        arguments = (model, str(checkpoint), str(corpus), str(t5))
        _run([sys.executable, "-m", "loadtest.training.real_size.checkpoints", *arguments], folder)
    report["checkpoint_bytes"] = sum(file.stat().st_size for file in checkpoint.iterdir())
    with _stage(report, "train and publish"):
        command = [sys.executable, "-m", "trainer.run", "--items", str(items), "--events", str(events)]
        command += ["--out", str(bundles), "--recipe", RECIPES[model], f"backbone.path={checkpoint}"]
        settings = (f"null_space.corpus={corpus}", *GENERAL_TEXT, *SETTINGS, *RANKS.get(model, ()))
        _run([*command, *settings], folder)
    report["bundle"] = _what_was_published(bundles / "current")
    if not serve:
        return
    with _stage(report, "serve and answer"), start_server(bundles, folder) as server:
        ready = time.monotonic()
        report["answer"] = _ask(server.url)
        report["answer"]["seconds"] = time.monotonic() - ready


def _run(command: Sequence[str], folder: Path) -> None:
    """Raises LoadtestError, with the last lines that the command wrote, if it fails."""
    log = folder / "stage.log"
    with log.open("wb") as output:
        status = run_child(command, output=output)
    if status:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        raise LoadtestError(f"{' '.join(command[:3])} ended with status {status}:\n" + "\n".join(lines))


def _what_was_published(bundle: Path) -> dict[str, Any]:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    config = json.loads((bundle / "model/config.json").read_text(encoding="utf-8"))
    steps = [json.loads(line) for line in (bundle / "training.jsonl").read_text(encoding="utf-8").splitlines()]
    return {"engine": manifest["engine"], "vocabulary": config["vocab_size"], "dtype": config["dtype"], "steps": steps}


def _ask(url: str) -> dict[str, Any]:
    query = urllib.parse.urlencode({"q": ASKED, "k": 10})
    with urllib.request.urlopen(f"{url}/search?{query}", timeout=120) as response:
        answer = json.load(response)
    return {"asked": ASKED, "items": [item["id"] for item in answer["items"]]}


@contextlib.contextmanager
def _stage(report: dict[str, Any], name: str) -> Iterator[None]:
    """Notes seconds and peak memory of what happens within the context, in child processes."""
    stop, peaks = threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(EVERY_SECONDS):
            peaks[0] = max(peaks[0], _memory_of_children())

    thread, began = threading.Thread(target=watch, daemon=True), time.monotonic()
    thread.start()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        stop.set()
        thread.join()
        report["stages"][name] = {"seconds": seconds, "peak_bytes": peaks[0]}


def _memory_of_children() -> int:
    """Resident memory of all processes below this one, without what they share with files."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    return total


if __name__ == "__main__":
    raise SystemExit(main())
