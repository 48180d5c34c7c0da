"""The same seeded random requests to a real etcd and to pyetcd; the answers must be equal.

`generator` makes steps (`steps`), `pair` carries them out on both servers and compares,
`deviations` explains the documented differences, `shrink` makes a short script of a difference,
`faults` plants errors to prove that they would be seen.
`python -m tests.differential --requests 20000 --seed 1` is the long run.
"""
