"""The three version numbers: ours, and the etcd this server answers as."""

__version__ = "0.1.0"

ETCD_VERSION = "3.4.23"
"""What `--version` and `/version` say: clients and test suites parse it."""

CLUSTER_VERSION = "3.4.0"
"""The cluster's version: etcd's lowest server version with the patch number 0."""
