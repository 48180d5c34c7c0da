"""A user's sessions as scripts, each of which gives the same results on the store alone, on
pyetcd over HTTP and on a real etcd.

One behaviour per file; the file's name is the sentence. `script` reads the language, `stages`
are what a script can be played on, `play` compares. `python -m tests.golden --rewrite` writes the
expected results anew, from a real etcd only.
"""
