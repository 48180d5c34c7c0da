"""Captured exchanges with etcd 3.4.23, replayed.

`examples.jsonl` holds them (one JSON object per line, described in `examples`), `replay` runs
one against a server, `verdicts` knows which are known to differ, from docs/compatibility.md.
`python -m tests.conformance` prints the three counts: pass, not yet, deviation.
"""
