"""Mutants of raft/: each guard and each rule of the driver taken out, one at a time.

`table` is the list of them, `campaign` applies one to a copy of the tree and runs what should kill
it: the directed tests first, the random simulation if they do not. `python -m tests.mutants` does
so for all and prints who killed whom.
"""
