"""The command line: etcdctl's v2 commands to the letter, and more.

It begins in `entry`. `table` lists the commands, `flags` reads command lines, `helping` explains
them, `main` runs one in a `session`; each other module holds the commands about one thing. Modules
are imported when their command is run: a `get` has to be quick.
"""
