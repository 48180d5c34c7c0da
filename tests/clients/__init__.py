"""Real clients, as their users run them, against pyetcd and the same against a real etcd.

Debian's `etcdctl` with ETCDCTL_API=2, python-etcd, k3etcd, curl and a confd-style loop of long
polls. What runs against both servers holds the tests themselves true: a test that real etcd does
not pass says something wrong about etcd.
"""
