"""`python -m flannel`."""

from flannel.entry import pyflanneld

pyflanneld()
