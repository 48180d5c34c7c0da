"""The process: everything that exists once per running `pyetcd`.

Reading order, which is also the order of a start:

1. `options` turns argv, the environment and a YAML file into one frozen `Config`.
2. `log` sets up logging and prints what was noticed before logging existed (`notice`).
3. `datadir` makes, checks and locks the data directory.
4. `identity` derives the member's and the cluster's id, with `hosts` for this machine's names.
5. `listeners` binds the ports, `process` wires log, store and HTTP together and serves until a
   signal comes, `systemd` tells the service manager when the member is ready.
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
