"""The talk's Lab 1 on one machine: `make lab` (docs/lab.md).

`story` tells and checks it step by step, on `hosts` made of namespaces in a `room` of their own,
with services started from the unit files of deploy/ by `units`. The `command` stays outside of the
room, holds its `lifeline`, and cleans up.
"""
