"""flannel: a subnet for each host, leased from an etcd v2 store, and the data path between them.

Knows only the wire: imports the client library, nothing of the server.

Begin with `daemon`, the life of the process in order. What it decides is pure: `config` (read with
`placed_json`, in `ip`'s arithmetic) says which subnets there are, `acquire` which one to ask for,
`holding` when to renew it and what news of it mean, `ledger` what changed among the others', and
`lease` how all that is spelled. What it does goes through few doors: `registry` to the store (which
is at `endpoints`; with `following` for news, `leasing` for our own lease and `resettling` for that
in a store that was set back), `kernel` (with `tables`, read by `dump`), `tun` and `iptables` to the
kernel. `peers` hands what was heard to one of the `backends`. `subnet_file` and `docker_opts` tell
Docker.
"""
