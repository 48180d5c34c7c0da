"""Our server with something done to it, which the checker must find.

Each module is run in place of `server`: `python -m tests.cluster --kind pyetcd:MODULE`.
"""
