"""The benchmark of a training step of GEMS beside other methods: `python -m loadtest.training`."""
