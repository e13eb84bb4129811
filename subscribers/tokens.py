"""Single-use links, of which only the SHA-256 is kept; and every absolute address in a mail."""

import datetime as dt
import functools
import hashlib

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from subscribers.models import Subscriber, Token, make_token

LIFETIMES = {
    Token.Purpose.CONFIRM: dt.timedelta(hours=72),
    Token.Purpose.UNDO: dt.timedelta(hours=1),
    Token.Purpose.CHANGE_ADDRESS: dt.timedelta(hours=72),
    Token.Purpose.CHANGE_BACK: dt.timedelta(hours=72),
}


def issue(subscriber: Subscriber, purpose: Token.Purpose, now: dt.datetime | None = None, *, address: str = "") -> str:
    """Return a new token of 22 characters that works once, until its purpose's time is over.

    ``address`` is where a change of address leads. The row holds the token's SHA-256: who reads the
    database, or a backup of it, can follow no link.
    """
    token = make_token()
    expires_at = (now or timezone.now()) + LIFETIMES[purpose]
    Token.objects.create(
        subscriber=subscriber, purpose=purpose, digest=_digest(token), expires_at=expires_at, address=address
    )
    return token


def find(token: str, purpose: Token.Purpose, now: dt.datetime) -> Token | None:
    """Return the row of a token that still works for ``purpose``, with its subscriber; else None."""
    return _known(token, purpose).filter(used_at=None, expires_at__gt=now).select_related("subscriber").first()


def is_spent(token: str, purpose: Token.Purpose) -> bool:
    """Whether the token is one of ours; asked when ``find`` said None, so it was used or is too old."""
    return _known(token, purpose).exists()


def burn(token: Token, now: dt.datetime) -> bool:
    """Use the token up; False when somebody else did so first, or its time ran out."""
    return bool(Token.objects.filter(pk=token.pk, used_at=None, expires_at__gt=now).update(used_at=now))


def burn_all(subscriber: Subscriber, now: dt.datetime) -> None:
    """Use up the links that the reader still holds, so that no older mail can undo what they just did."""
    subscriber.tokens.filter(purpose__in=LIFETIMES, used_at=None).update(used_at=now)


def link(name: str, *args: str) -> str:
    """Return the absolute address of a page, from PUBLIC_URL alone: a request's Host can be forged."""
    return f"{settings.PUBLIC_URL}{reverse(name, args=args)}"


def token_link(name: str, token: str) -> str:
    """Return ``link(name, token)`` for a token of ours; the page's name is resolved once, not for every mail."""
    before, after = _around_token(settings.PUBLIC_URL, name)
    return f"{before}{token}{after}"


@functools.lru_cache(maxsize=64)
def _around_token(public_url: str, name: str) -> tuple[str, str]:
    any_token = "0" * 22
    before, _, after = f"{public_url}{reverse(name, args=[any_token])}".partition(any_token)
    return before, after


def _known(token: str, purpose: Token.Purpose) -> QuerySet[Token]:
    return Token.objects.filter(digest=_digest(token), purpose=purpose)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
