"""The process's own parts: options and their sources, identity, data directory, logs, readiness.

Everything here is tested without a running server. `test_differential` gives the same wrong
command lines, variables and files to a real etcd; `differential_cases` is its data.
"""
