"""Pages that concern a reader's mail, and the site's own addresses."""

import datetime as dt
import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import redis
from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.conf import settings
from django.core.paginator import Paginator
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from newsletter import messages, rendering, steering, tracking
from newsletter.models import Delivery
from papers.models import Paper
from subscribers import signup
from subscribers import views as reader_pages
from subscribers.forms import MuteForm
from subscribers.models import Mail, Subscriber

P = ParamSpec("P")

# How long a mail opens its reader's preferences: the mail may be forwarded, or found years later.
LINK_LASTS = dt.timedelta(days=30)
DIGESTS_PER_PAGE = 30
# Nothing below these is of use to a search engine, and each address belongs to one reader.
NOT_FOR_ROBOTS = ("/m/", "/r/", "/u/", "/c/", "/a/", "/undo/", "/admin/")
ROBOTS = "\n".join(["User-agent: *", *(f"Disallow: {path}" for path in NOT_FOR_ROBOTS), ""])


def site(_request: HttpRequest) -> dict[str, object]:
    """Return what every page knows of the site it belongs to; a context processor."""
    return {
        "site_name": settings.SITE_NAME,
        "public_url": settings.PUBLIC_URL,
        "postal_address": settings.POSTAL_ADDRESS,
        # Asked only where a page does not say so itself.
        "has_sample": SimpleLazyObject(Paper.objects.filter(is_sample=True).exists),
    }


# Links of a mail --------------------------------------------------------------------------------


@csrf_exempt  # No page of a reader has a cookie: the token in the address is the authority.
@reader_pages.ask_or_act
@reader_pages.private
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Open the preferences of the reader whose mail the link is from, for 30 days."""
    return _for_reader(request, token, reader_pages.preferences)


@csrf_exempt  # As above.
@reader_pages.ask_or_act
@reader_pages.private
def change_address(request: HttpRequest, token: str) -> HttpResponse:
    """Let the reader whose mail the link is from ask for another address, for 30 days."""
    return _for_reader(request, token, reader_pages.change_address)


def _for_reader(
    request: HttpRequest, token: str, page: Callable[[HttpRequest, Subscriber, str], HttpResponse]
) -> HttpResponse:
    """Show a page of the reader in whose mail the token stands."""
    mail = _mail_of(token)
    if mail is None:
        return _unknown(request)
    if timezone.now() - mail.created_at > LINK_LASTS:
        return _expired(request, mail)
    return page(request, mail.subscriber, request.path)


@csrf_exempt  # As above; and all it can cause is a mail to the reader, through the gate.
@require_POST
@reader_pages.private
def fresh_link(request: HttpRequest, token: str) -> HttpResponse:
    """Owe the reader of an old mail a fresh link; the answer tells nothing about them."""
    mail = _mail_of(token)
    if mail is None:
        return _unknown(request)
    try:
        signup.ask_for_link(mail.subscriber, signup.network_of(request.META), timezone.now())
    except signup.TooManyRequestsError as error:
        response = render(request, "newsletter/too_many_requests.html", status=429)
        response["Retry-After"] = str(error.retry_after_s)
        return response
    return render(request, "newsletter/link_sent.html")


# Steering ---------------------------------------------------------------------------------------


def steers(view: Callable[Concatenate[HttpRequest, Delivery, P], HttpResponse]) -> Callable[..., HttpResponse]:
    """Open a page that steers later digests to the reader whose digest the link is from, for 30 days.

    The page asks on GET, because mail scanners follow links, and acts on POST.
    """

    @csrf_exempt
    @reader_pages.ask_or_act
    @reader_pages.private
    def opened(request: HttpRequest, /, token: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        delivery = _composed().filter(token=token).first()
        if delivery is None:
            return _unknown(request)
        if timezone.now() - delivery.created_at > LINK_LASTS:
            return _expired(request, delivery)
        if delivery.subscriber.state not in {Subscriber.State.ACTIVE, Subscriber.State.PAUSED}:
            return render(request, "subscribers/not_subscribed.html", status=410)
        return view(request, delivery, *args, **kwargs)

    return functools.update_wrapper(opened, view)


@steers
def like_paper(request: HttpRequest, delivery: Delivery, direction: str, arxiv_id: str) -> HttpResponse:
    """Take a thumb up (``more``) or down (``less``) for a paper of the digest, and take it back."""
    paper = Paper.objects.filter(arxiv_id=arxiv_id, pk__in=delivery.picks.paper_ids).first()
    if paper is None:
        return _unknown(request)
    behind = steering.interests_behind(delivery.picks, paper)
    done = ""
    if request.method == "POST":
        done = steering.vote(delivery.subscriber, paper, request.POST, behind, is_up=direction == "more")
    context = {"delivery": delivery, "paper": paper, "is_up": direction == "more", "interests": behind, "done": done}
    return render(request, "newsletter/steer_paper.html", context)


@steers
def mute_interest(request: HttpRequest, delivery: Delivery, number: int) -> HttpResponse:
    """Mute or leave the interest that the digest names as its ``number``-th, and take it back."""
    named = delivery.picks.interests
    if not 1 <= number <= len(named):
        return _unknown(request)
    return _change(request, delivery, named[number - 1])


@steers
def mute_word(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Show what a word or phrase would have hidden, mute it, and take it back."""
    asked = request.POST if request.method == "POST" else request.GET
    form = MuteForm(asked if "word" in asked else None)
    if form.is_valid():
        return _change(request, delivery, form.cleaned_data["word"])
    context = {"delivery": delivery, "form": form}
    return render(request, "newsletter/mute_word.html", context, status=422 if form.errors else 200)


def _change(request: HttpRequest, delivery: Delivery, wording: str) -> HttpResponse:
    """Show what a mute would have hidden, with buttons; on POST change it and offer the way back."""
    reader = delivery.subscriber
    context = {
        "delivery": delivery,
        "wording": wording,
        "was": steering.standing(reader, wording),
        "effect": steering.effect(reader, wording),
        "can_hide": steering.can_hide(wording),
        "done": steering.change(reader, wording, request.POST) if request.method == "POST" else "",
    }
    return render(request, "newsletter/steer_interest.html", context)


# Reading ----------------------------------------------------------------------------------------


# A mail carries its styles with it, and nothing else: no script of anybody's runs on this page.
@csp_update({"style-src": [SELF, UNSAFE_INLINE]})  # type: ignore[arg-type]  # its type knows only the request
@require_safe
@reader_pages.private
def digest(request: HttpRequest, token: str) -> HttpResponse:
    """Show a digest as it was mailed; reading outlives the 30 days of the other links."""
    found = _composed().filter(token=token).first()
    if found is None:
        return _unknown(request)
    return HttpResponse(messages.message(found).alternatives[0][0])


@require_safe
@reader_pages.private
def follow_link(request: HttpRequest, token: str, arxiv_id: str, key: str) -> HttpResponse:
    """Lead to what a link of a mail names, of what is stored with the paper; a click is noted if that is on."""
    delivery = _composed().filter(token=token).first()
    url = tracking.clicked(delivery, arxiv_id, key) if delivery else ""
    return redirect(url) if url else _unknown(request)


@require_safe
@reader_pages.private
def opened(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with one point, and note that the mail was opened if that is on."""
    delivery = _composed().filter(token=token).first()
    if delivery is None:
        return _unknown(request)
    tracking.opened(delivery)
    return HttpResponse(tracking.POINT, content_type="image/gif")


@require_safe
@reader_pages.private
def sent_digests(request: HttpRequest, token: str) -> HttpResponse:
    """List what a reader was sent, newest first; the address can only be read with."""
    reader = Subscriber.objects.filter(feed_token=token).first()
    if reader is None:
        return _unknown(request)
    sent = _composed().filter(subscriber=reader, state__in=Delivery.SENT).order_by("-edition__date")
    page = Paginator(sent, DIGESTS_PER_PAGE).get_page(request.GET.get("page"))
    deliveries = list(page)
    of = rendering.material(deliveries)
    context = {"page": page, "digests": [(each.token, rendering.digest(each, of)) for each in deliveries]}
    return render(request, "newsletter/sent_digests.html", context)


def _composed() -> QuerySet[Delivery]:
    """Return the deliveries that became, or may become, a mail."""
    return Delivery.objects.select_related("subscriber", "edition", "picks").exclude(picks=None)


def _mail_of(token: str) -> Delivery | Mail | None:
    """Return the digest or service mail that the token stands in."""
    digest = Delivery.objects.select_related("subscriber").filter(token=token).first()
    return digest or Mail.objects.select_related("subscriber").filter(token=token).first()


def _expired(request: HttpRequest, mail: Delivery | Mail) -> HttpResponse:
    context = {"address": reverse("fresh_link", args=[mail.token]), "reader": mail.subscriber}
    return render(request, "newsletter/link_expired.html", context, status=410)


def _unknown(request: HttpRequest) -> HttpResponse:
    return render(request, "subscribers/dead_link.html", {"is_spent": False}, status=404)


# The site ---------------------------------------------------------------------------------------


@require_safe
def livez(_request: HttpRequest) -> HttpResponse:
    """Say that the process answers; nothing else is asked."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether what the process needs answers too: the database, and the broker where there is one."""
    checks = {"database": _database_answers()}
    if settings.REDIS_URL:
        checks["broker"] = _broker_answers()
    return JsonResponse(checks, status=200 if all(checks.values()) else 503)


@require_safe
def robots(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(ROBOTS, content_type="text/plain")


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _broker_answers() -> bool:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as broker:
            return bool(broker.ping())
    except redis.RedisError:
        return False
