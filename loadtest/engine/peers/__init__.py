"""The engines that the benchmark compares, each in a process of its own."""
