"""`python -m pyetcdctl` is the command line."""

from pyetcdctl.command.main import main

main()
