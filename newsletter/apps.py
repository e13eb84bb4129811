"""Register the newsletter app, connect the provider's events to their one receiver, check the closing time."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from newsletter.schedule import ClosingTimeError, check_spec


class NewsletterConfig(AppConfig):
    name = "newsletter"

    def ready(self) -> None:
        from newsletter import receivers  # noqa: F401, PLC0415 - connects itself once the apps are ready

        register(closing_time)


def closing_time(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Refuse an EDITION_CLOSES_AT that cannot be read, or by which some days would have no edition."""
    try:
        check_spec(settings.EDITION_CLOSES_AT)
    except ClosingTimeError as error:
        return [Error(str(error), id="newsletter.E001")]
    return []
