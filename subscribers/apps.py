"""Register the subscribers app."""

from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    name = "subscribers"
