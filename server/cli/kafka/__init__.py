"""Events from topics of Kafka, into histories and the event log: `gemserve consume`."""
