"""Settings of the property tests here."""

from hypothesis import settings

# A busy machine is not a finding; the time of a whole test is limited elsewhere.
settings.register_profile("server", deadline=None)
settings.load_profile("server")
