"""Pages that concern a reader's mail, and the site's own addresses."""

from django.http import HttpRequest, HttpResponse


def site(request: HttpRequest) -> dict[str, object]:
    return {}


livez = readyz = robots = preferences = fresh_link = lambda request: HttpResponse("ok")
