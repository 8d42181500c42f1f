"""What every part of the server builds on: errors, settings, metrics, traces, logs and tasks. Knows no HTTP and no
Redis."""
