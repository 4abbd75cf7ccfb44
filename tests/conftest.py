"""What every test gets: hypothesis without a deadline, since this machine is shared."""

from hypothesis import settings

settings.register_profile("taskmaster", deadline=None, print_blob=True)
settings.load_profile("taskmaster")


def pytest_report_header() -> str:
    """What stands behind `tests/differential` in this run."""
    from tests.differential import otp

    reference = "OTP itself" if otp.is_installed() else "recorded traces of OTP"
    return f"supervision is compared with {reference}"
