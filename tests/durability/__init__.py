"""What was acknowledged is there, whatever happened: shown, not believed.

* `test_strace`: the kernel's view of a real server; no reply leaves before the fdatasync that
  covers it has returned.
* `test_power_loss`: a member on a disk in memory that forgets what was not synced, at any point.
* `test_campaign`: a real server under concurrent writes, killed with SIGKILL, over and over.
* `test_damage`, `test_full_disk`, `test_failed_sync`: what the disk can do to us otherwise.

The first three are told to look at a server that does not sync, and have to see it.

The long campaign is a command: `python -m tests.durability --rounds 50 --seed 1`.
"""
