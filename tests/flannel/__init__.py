"""flannel: its pure rooms, its dealings with real stores, its kernel state in network namespaces.

The chapter: `recorded` holds what real flanneld was seen to do; `stores` starts a real etcd or a
pyetcd; `hosts` makes network namespaces and what is in them; `daemon` runs pyflanneld there.
"""
