"""The process: everything that exists once per running `pyetcd`.

Reading order, which is also the order of a start:

1. `options` turns argv, the environment and a YAML file into one frozen `Config`.
2. `log` sets up logging and prints what was noticed before logging existed (`notice`).
3. `datadir` makes, checks and locks the data directory.
4. `beginning` finds out who a member without data is: `identity` derives a founder's ids (`hosts`
   and `url_sets` compare its URLs), `remote_cluster` asks those who are there for a joiner's.
5. `listeners` binds the ports, `process` wires log, store, `peers` and HTTP together and serves
   until a signal comes or the member is removed; `announcing` has its name committed, and `systemd`
   tells the service manager that it is ready.
6. `main` is all of that in order, and the exit code.

Laws:

* **Nothing is ignored silently.** An option this server cannot honour either warns or stops the
  start; a security option always stops it.
* **Only `options.load` decides.** Everything after it reads `Config` and never argv or the
  environment again.
* **Same words as etcd.** Messages, exit codes and their order are etcd 3.4's, so that unit files,
  documentation and search engines keep working; tests compare them with a real etcd.

Nothing imports this package: it imports everything else.
"""
