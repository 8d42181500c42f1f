"""Storage in Redis: histories, the event log, changes of the catalog and the traffic split."""
