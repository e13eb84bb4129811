"""Register the newsletter app and connect the provider's events to their one receiver."""

from django.apps import AppConfig


class NewsletterConfig(AppConfig):
    name = "newsletter"

    def ready(self) -> None:
        from newsletter import receivers  # noqa: F401, PLC0415 - connects itself once the apps are ready
