import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from server.core.logging import configure_logging

LOG_BOTH_WAYS = """
import logging, structlog
from server.core.logging import configure_logging
configure_logging("info")
with structlog.contextvars.bound_contextvars(request_id="r1"):
    structlog.get_logger("a").info("request", path="line\\nbreak \\u202e \\x1b[31m \\u2028")
    structlog.get_logger("a").debug("not shown")
    logging.getLogger("redis").warning("lost %s", "connection")
    logging.getLogger("uvicorn.error").info("not shown")
    try:
        raise ValueError("boom\\nfake line")
    except ValueError:
        structlog.get_logger("a").exception("internal_error")
"""


def test_every_record_is_one_ascii_json_line() -> None:
    output = subprocess.run([sys.executable, "-c", LOG_BOTH_WAYS], capture_output=True, check=True).stdout
    assert output.isascii()
    lines = [json.loads(line) for line in output.decode().splitlines()]
    assert [line["event"] for line in lines] == ["request", "lost connection", "internal_error"]
    assert {line["request_id"] for line in lines} == {"r1"}
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[0]["path"] == "line\nbreak \u202e \x1b[31m \u2028"
    assert "boom" in lines[2]["exception"]


LOG_TO_A_FULL_DISK = """
import os, structlog
from server.core.logging import configure_logging
configure_logging("info")
structlog.get_logger("a").info("request")
structlog.get_logger("a").error("request")
os.write(2, b"still here")
os._exit(0)
"""


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", LOG_TO_A_FULL_DISK], stdout=full, stderr=subprocess.PIPE, check=True
        )
    assert ended.stderr == b"still here"


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_test_that_configures_logging_leaves_it_as_it_was(time: str) -> None:
    assert not any(type(handler) is logging.StreamHandler for handler in logging.getLogger().handlers)
    with structlog.testing.capture_logs() as logs:
        structlog.get_logger("quiet").debug("shown")
    assert [entry["event"] for entry in logs] == ["shown"]
    configure_logging("error")
