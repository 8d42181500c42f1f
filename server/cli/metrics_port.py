"""The port at which a command that goes on shows its metrics."""

from __future__ import annotations

import argparse

import prometheus_client

__all__ = ["add_metrics_arguments", "show_metrics"]


def add_metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """`--metrics-port PORT` and `--metrics-host HOST`."""
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="of GET /metrics (default: there is none)")
    parser.add_argument("--metrics-host", default="127.0.0.1", metavar="HOST", help="its address (default: 127.0.0.1)")


def show_metrics(options: argparse.Namespace) -> None:
    """In a thread, until the process ends; without a port nothing happens. Raises OSError."""
    if options.metrics_port is not None:
        prometheus_client.start_http_server(options.metrics_port, options.metrics_host)
