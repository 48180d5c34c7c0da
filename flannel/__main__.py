"""`python -m flannel`."""

from flannel.main import main

main()
