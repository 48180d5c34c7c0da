"""The process: everything that exists once per running `pyetcd`.

Reading order, which is also the order of a start:

1. `options` turns argv, the environment and a YAML file into one frozen `Config`. It stands on
   `option_table` (one row per option: the flags, the variables, the YAML keys, `--help` and
   docs/configuration.md all come from it), `values` and `flags` (Go's rules for both),
   `urls` (Go's rules for URLs), `config_file` (YAML) and `validation` (etcd's checks in etcd's
   order, then what this version refuses).
2. `log` sets up logging and prints what was noticed before logging existed (`notice`).
3. `datadir` makes, checks and locks the data directory.
4. `identity` derives the member's and the cluster's id, with `hosts` for this machine's names.
5. The composition root wires storage, agreement and HTTP together and handles signals;
   `systemd` tells the service manager when the member is ready.

Laws:

* **Nothing is ignored silently.** An option this server cannot honour either warns or stops the
  start; a security option always stops it.
* **Only `options.load` decides.** Everything after it reads `Config` and never argv or the
  environment again.
* **Same words as etcd.** Messages, exit codes and their order are etcd 3.4's, so that unit files,
  documentation and search engines keep working; tests compare them with a real etcd.

Nothing imports this package: it imports everything else.
"""
