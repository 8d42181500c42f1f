"""What every part of the server builds on: errors, settings, metrics, traces, logs and tasks. Knows no FastAPI, and no
Redis but its address."""
