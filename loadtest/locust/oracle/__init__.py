"""The test oracle: what the server may answer, known from what it was sent and never from what it says."""
