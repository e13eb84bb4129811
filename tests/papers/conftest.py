"""How hypothesis runs: without a clock, since a busy machine is no bug."""

from hypothesis import settings

settings.register_profile("paperboy", deadline=None)
settings.load_profile("paperboy")
