"""Fuzzing of all that comes from outside; a few seconds in `make test`, as long as is wished in `make fuzz`."""
