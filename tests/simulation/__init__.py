"""Deterministic fault simulation of raft/ and kvstore/: `python -m tests.simulation --help`.

Real members, real state machines; only time, disks and the network are replaced. A seed is one
history: it can be run again, and printed (`--trace`).

Start with `loop` (virtual time, and processes that can die), then what is replaced: `network` and
`disk`. `member` is one member on them, `world` all of them. Laws are watched as things happen by
`journals` (what is on disk), `canon` (what is applied), `leadership` (who leads, what is promised),
`clients` and `watching` (what is answered and told), and proven in the end by `judgement` and
`linearizability`. `moods`, `faults` and `workload` make what a `schedule` makes a history of;
`campaign` runs many. `directed` is the same world led by hand, for schedules that are written down.
"""
