"""The buttons of an admin page: what each does is said beside it, and asked again where it cannot be undone."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Button:
    """``name`` is what is posted as ``do``; ``question`` is asked before it is done, where it is not ''."""

    name: str
    label: Text
    says: Text
    question: Text = ""

    def is_to_be_asked(self, request: HttpRequest) -> bool:
        return bool(self.question) and "sure" not in request.POST


def concerned(count: int) -> str:
    return ngettext("%(n)d reader is concerned.", "%(n)d readers are concerned.", count) % {"n": count}


def ask(request: HttpRequest, button: Button, about: Iterable[object], back: str) -> TemplateResponse:
    """Return the page that asks whether it shall be done; its button posts the same once more, and that one is sure.

    ``about`` are lines of what it is done to, ``back`` is the address of the page that was left.
    """
    posted = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in {"csrfmiddlewaretoken", "sure"}
    ]
    context = {**admin.site.each_context(request), "title": _("Are you sure?"), "posted": posted, "back": back}
    return TemplateResponse(request, "admin/newsletter/sure.html", {**context, "button": button, "about": list(about)})
