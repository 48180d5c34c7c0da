"""The v2 command line, compared byte by byte with 364 invocations captured from real clients.

A case (`cases`) is one command line with its environment, what was on the server before, and what
the real client printed. It is played (`play`) on a stage (`stages`): a server of the kind the case
names, over real sockets. Placeholders (`placeholders`) and orders that are random by nature
(`orders`) turn the captured text into what must be seen here; `judgement` compares. `campaign`
plays many at once. `python -m tests.etcdctl` does it by hand, `test_cases` for our client.
"""
