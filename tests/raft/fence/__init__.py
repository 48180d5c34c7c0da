"""Directed tests of the fence around PySyncObj: exact schedules, led by hand.

`parliament` leads engines message by message, sync by sync; `assembly` whole nodes, where the
driver's rules matter. Both watch what must never happen. Every schedule that breaks PySyncObj as it
is shipped (the audit's R01 to R25 and r3) is replayed here and does no harm; `test_every_schedule`
keeps count.
"""
