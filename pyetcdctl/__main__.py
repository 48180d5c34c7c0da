"""`python -m pyetcdctl` is the command line."""

from pyetcdctl.command.entry import main

main()
