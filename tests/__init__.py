"""The tests: every folder has a reason, said in its own docstring."""
