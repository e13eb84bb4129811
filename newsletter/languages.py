"""How a page comes by its reader's language, and numbers by its separators."""

from django.http import HttpRequest
from django.middleware import locale
from django.urls import reverse
from django.utils import translation
from django.utils.formats import number_format


class LocaleMiddleware(locale.LocaleMiddleware):
    """Take the language from the browser, but in admin, half of whose words no translation covers."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if request.path_info.startswith(reverse("admin:index")):
            translation.activate("en")
            request.LANGUAGE_CODE = "en"


def number(n: int) -> str:
    """Return a count as people write it, with the separators of the current language."""
    return str(n) if -1000 < n < 1000 else number_format(n, force_grouping=True)
