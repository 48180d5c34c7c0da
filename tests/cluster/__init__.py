"""Clusters of real processes, driven, disturbed and judged only through their public HTTP.

The chapter: `network` says where members live and how the ways between them are cut: `links` puts
a proxy before each member on loopback, `hosts` gives each a network namespace. `disks` gives each
a small disk that can be filled or slowed. `member` is one process and `cluster` all of them.
`workload` and `watchers` are the clients; all they do and see goes into a `history`. `faults`
is what can go wrong and `nemesis` its schedule. `canon` puts everything anybody saw into one
sequence of events and `checker` holds every single observation against it. `campaign` ties it up:
`python -m tests.cluster --minutes 2 --members 3 --seed 1`.

Any server with etcd's flags can be put in: the checks were first made on a real etcd.
"""
