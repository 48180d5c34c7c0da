"""The data paths: what a lease of another host becomes on this one.

`backend` says what all of them can do, `table` which there are; `vxlan`, `host_gw` and `alloc` let
the kernel carry the packets, `udp` carries them itself. `vxlan_device` is the device of the one,
`upkeep` keeps it, that of `udp` and all ways as they were made; `leftovers` are earlier runs'.
"""
