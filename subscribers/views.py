"""The reader's own pages: signing up, confirming, preferences, leaving and coming back.

None of them sets a cookie or reads one. The sign-up form has no authority that a forged request
could misuse; everywhere else the unguessable token in the address is the authority, and who does
not know it cannot forge the request. So all of them are exempt from Django's CSRF check.
"""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language, gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from subscribers import signup, tokens
from subscribers.forms import AddressForm, PreferencesForm, SignUpForm, consent_wording
from subscribers.models import Subscriber, Token, timezones

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
Purpose, State = Token.Purpose, Subscriber.State

ask_or_act = require_http_methods(["GET", "HEAD", "POST"])


def private(view: View[P]) -> View[P]:
    """Keep a page with a token in its address out of caches, search engines and Referer headers."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex"
        return response

    return wrapped


# Signing up -------------------------------------------------------------------------------------


@csrf_exempt
@ask_or_act
def sign_up(request: HttpRequest) -> HttpResponse:
    """Show the form; on POST answer every address alike, once what it says can be read."""
    if request.method != "POST":
        return _sign_up_page(request, SignUpForm())
    if not is_from_our_pages(request):
        return render(request, "subscribers/forbidden.html", status=403)
    form = SignUpForm(request.POST)
    if not form.is_robot:
        if not form.is_valid():
            return _sign_up_page(request, form, status=422)
        try:
            _take(request, form)
        except signup.TooManyRequestsError as error:
            response = _sign_up_page(request, form, status=429, wait_minutes=error.retry_after_s // 60 + 1)
            response["Retry-After"] = str(error.retry_after_s)
            return response
    response = redirect("subscribers:check_inbox")
    response.status_code = 303
    return response


@require_safe
def check_inbox(request: HttpRequest) -> HttpResponse:
    """Say what happens next, in the same words to everybody."""
    return render(request, "subscribers/check_inbox.html")


def is_from_our_pages(request: HttpRequest) -> bool:
    """Whether the browser, where it says so, posts from a page of ours and not from somebody else's.

    ``Origin: null`` comes from our own pages that send no Referer; there ``Sec-Fetch-Site`` decides.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    if origin is None or (origin == "null" and site == "same-origin"):
        return True
    public = urlsplit(settings.PUBLIC_URL)
    return origin in {f"{public.scheme}://{public.netloc}", f"{request.scheme}://{request.get_host()}"}


def _take(request: HttpRequest, form: SignUpForm) -> None:
    signup.sign_up(
        form.cleaned_data["email"],
        [line.wording for line in form.cleaned_data["interests"]],
        timezone=form.cleaned_data["timezone"],
        network=signup.network_of(request.META),
        wording=form.consent,
        now=form.now,
        language=get_language() or settings.LANGUAGE_CODE,
    )


def _sign_up_page(request: HttpRequest, form: SignUpForm, status: int = 200, wait_minutes: int = 0) -> HttpResponse:
    context = {"form": form, "wait_minutes": wait_minutes}
    return render(request, "subscribers/sign_up.html", context, status=status)


# Links in mails ---------------------------------------------------------------------------------


@csrf_exempt
@ask_or_act
@private
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Ask on GET, because mail scanners follow links; confirm on POST."""
    now, network = timezone.now(), signup.network_of(request.META)
    found = tokens.find(token, Purpose.CONFIRM, now)
    if found and request.method != "POST":
        return render(request, "subscribers/confirm.html", {"consent": consent_wording()})
    if found and signup.confirm(found, now, network=network, wording=consent_wording()):
        return render(request, "subscribers/confirmed.html")
    return _dead_link(request, token, Purpose.CONFIRM)


# RFC 8058: the mailbox provider posts here, without cookie, Referer or Origin.
@csrf_exempt
@ask_or_act
@private
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask on GET, because mail scanners follow links; unsubscribe on POST, at once and without a redirect."""
    subscriber = Subscriber.objects.filter(unsubscribe_token=token).first()
    if subscriber is None:
        return _dead_link(request, token, None)
    if request.method != "POST":
        return render(request, "subscribers/unsubscribe.html", {"subscriber": subscriber})
    wording = gettext("Unsubscribe")
    undo_token = signup.unsubscribe(
        subscriber, timezone.now(), network=signup.network_of(request.META), wording=wording
    )
    return render(request, "subscribers/goodbye.html", {"subscriber": subscriber, "undo_token": undo_token})


@private
def change_address(request: HttpRequest, subscriber: Subscriber, action_url: str) -> HttpResponse:
    """Ask for a new address; on POST owe it a mail, with the same answer for every address.

    As with ``preferences``, the caller has found out who the reader is.
    """
    if subscriber.state not in {State.ACTIVE, State.PAUSED}:
        return render(request, "subscribers/not_subscribed.html", status=410)
    form = AddressForm(request.POST if request.method == "POST" else None)
    context = {"form": form, "subscriber": subscriber, "action_url": action_url}
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "subscribers/change_address.html", context, status=status)
    try:
        email, network = form.cleaned_data["email"], signup.network_of(request.META)
        signup.ask_to_move(subscriber, email, network, timezone.now())
    except signup.TooManyRequestsError as error:
        minutes = error.retry_after_s // 60 + 1
        response = render(request, "subscribers/change_address.html", context | {"wait_minutes": minutes}, status=429)
        response["Retry-After"] = str(error.retry_after_s)
        return response
    return render(request, "subscribers/change_address.html", context | {"is_asked": True})


@csrf_exempt
@ask_or_act
@private
def move(request: HttpRequest, token: str, purpose: Token.Purpose) -> HttpResponse:
    """Ask on GET; on POST let the digests go to the address that the link was mailed to."""
    now, network = timezone.now(), signup.network_of(request.META)
    found = tokens.find(token, purpose, now)
    if found is None:
        return _dead_link(request, token, purpose)
    context = {"address": found.address, "is_back": purpose == Purpose.CHANGE_BACK}
    if request.method != "POST":
        return render(request, "subscribers/move.html", context)
    try:
        is_done = signup.move(found, now, network=network, wording=gettext("Send my digests here"))
    except signup.AddressTakenError:
        return render(request, "subscribers/move.html", context | {"is_taken": True}, status=409)
    if not is_done:
        return _dead_link(request, token, purpose)
    return render(request, "subscribers/move.html", context | {"is_done": True})


@csrf_exempt
@ask_or_act
@private
def undo(request: HttpRequest, token: str) -> HttpResponse:
    """Ask on GET; on POST take an unsubscribing of the last hour back."""
    now, network = timezone.now(), signup.network_of(request.META)
    found = tokens.find(token, Purpose.UNDO, now)
    if found and request.method != "POST":
        return render(request, "subscribers/undo.html")
    if found and signup.undo(found, now, network=network, wording=gettext("Stay subscribed")):
        return render(request, "subscribers/restored.html")
    return _dead_link(request, token, Purpose.UNDO)


def _dead_link(request: HttpRequest, token: str, purpose: Token.Purpose | None) -> HttpResponse:
    """410 for a link of ours that was used or is too old, 404 for any other; both offer the way out."""
    is_spent = purpose is not None and tokens.is_spent(token, purpose)
    return render(request, "subscribers/dead_link.html", {"is_spent": is_spent}, status=410 if is_spent else 404)


# Preferences ------------------------------------------------------------------------------------


@private
def preferences(request: HttpRequest, subscriber: Subscriber, action_url: str) -> HttpResponse:
    """Show and save a reader's preferences; who calls this has found out by a mail's token who it is.

    The caller is ``csrf_exempt`` and allows GET, HEAD and POST; ``action_url`` is its own address.
    """
    if subscriber.state not in {State.ACTIVE, State.PAUSED}:
        return render(request, "subscribers/not_subscribed.html", status=410)
    is_post = request.method == "POST"
    form = PreferencesForm(request.POST if is_post else None, instance=subscriber, now=timezone.now())
    if is_post and form.is_valid():
        form.save()
        response = redirect(f"{action_url}?saved")
        response.status_code = 303
        return response
    context = {
        "form": form,
        "subscriber": subscriber,
        "action_url": action_url,
        "is_saved": "saved" in request.GET and not is_post,
        "timezones": sorted(timezones()),
    }
    return render(request, "subscribers/preferences.html", context, status=422 if is_post else 200)
