"""Measures pyetcd beside a real etcd, on one machine and one disk: `python -m bench`.

Law: the two are never driven at the same time, and every figure comes with the other's.
It does not judge: the marks are in docs/performance.md.
"""
