"""Where providers report: Anymail's addresses for what became of a mail, none of them open without the secret."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from anymail import urls
from anymail.utils import get_request_basic_auth
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_http_methods

# Some providers post thousands of reports at once, which is more than Django takes from a form.
LONGEST = 32 * 2**20  # bytes

View = Callable[..., HttpResponse]


def with_the_secret(view: View) -> View:
    """Take only reports that bring ANYMAIL_WEBHOOK_SECRET, and none where it is not set.

    Anymail alone takes all where none is set, and raises before it has looked where a provider's
    signing key is not: anybody could have the log filled with errors.
    """

    @wraps(view)
    @require_http_methods(["GET", "HEAD", "POST"])
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return HttpResponse()  # some providers look whether anybody is there
        if not _knows_the_secret(request):
            # Amazon sends the password only when it was asked for it.
            return HttpResponse(status=401, headers={"WWW-Authenticate": 'Basic realm="ANYMAIL_WEBHOOK_SECRET"'})
        if int(request.META.get("CONTENT_LENGTH") or 0) > LONGEST:
            return HttpResponse(status=413)
        request._body = request.read()  # what `body` keeps, once it has looked at the length
        return view(request, *args, **kwargs)

    return guarded


def _knows_the_secret(request: HttpRequest) -> bool:
    secret = settings.ANYMAIL.get("WEBHOOK_SECRET", "")
    return bool(secret) and constant_time_compare(get_request_basic_auth(request) or "", secret)


def _guarded(pattern: URLPattern) -> URLPattern:
    return URLPattern(pattern.pattern, with_the_secret(pattern.callback), pattern.default_args, pattern.name)


# Nobody here reads mail that comes in.
urlpatterns = [_guarded(pattern) for pattern in urls.urlpatterns if "inbound" not in str(pattern.pattern)]
