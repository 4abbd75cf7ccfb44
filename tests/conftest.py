"""What every test gets: hypothesis without a deadline, since this machine is shared."""

from hypothesis import settings

settings.register_profile("taskmaster", deadline=None, print_blob=True)
settings.load_profile("taskmaster")
