"""The one gate that every path which can cause a mail goes through; and how readers come and go."""

import datetime as dt
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import connection, transaction

from subscribers import emails, tokens
from subscribers.interests import replace_follows
from subscribers.models import (
    Attempt,
    Consent,
    Mail,
    Subscriber,
    Suppression,
    Token,
    hash_address,
    normalise_address,
    zone_of,
)

State = Subscriber.State

# The gate ---------------------------------------------------------------------------------------

# Mails that may be caused within a clock hour. An address: enough for a lost mail or two, too few
# to bother its owner. A network (/24, /48): a class or an office signing up together. A mailbox
# domain: below what large providers take from a young sender. The total: what one attacker with
# many networks can cost us. A window starts with the hour, so two together may see twice as much.
LIMITS = {
    Attempt.Scope.NETWORK: 20,
    Attempt.Scope.ADDRESS: 3,
    Attempt.Scope.DOMAIN: 200,
    Attempt.Scope.TOTAL: 1000,
}


class TooManyRequestsError(Exception):
    """The gate is closed for a while, and not because of the address, so the visitor may know."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


def admit(email: str, network: str | None, now: dt.datetime) -> bool:
    """Count a request that would cause a mail to ``email``; False if the address had enough of them.

    False is for us alone: the visitor gets the answer that everybody gets. ``network`` is where
    the request came from, None for the operator. Scopes are counted from the narrow to the wide,
    and no further than the first that is over, so that one network cannot use up the total.
    Raises ``TooManyRequestsError`` when network, domain or total are over their limit.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    address = normalise_address(email)
    keys = {
        Attempt.Scope.NETWORK: network,
        Attempt.Scope.ADDRESS: address,
        Attempt.Scope.DOMAIN: address.rpartition("@")[2],
        Attempt.Scope.TOTAL: "",
    }
    for scope, limit in LIMITS.items():
        key = keys[scope]
        if key is None or _count(scope, key, hour) <= limit:
            continue
        if scope == Attempt.Scope.ADDRESS:
            return False
        raise TooManyRequestsError(3600 - int((now - hour).total_seconds()))
    return True


def _count(scope: Attempt.Scope, key: str, hour: dt.datetime) -> int:
    """Add one to a counter and return it: one statement, which the ORM's upsert cannot say.

    The key is an HMAC, so that the counters name nobody.
    """
    table = connection.ops.quote_name(Attempt._meta.db_table)
    hashed = hmac.new(settings.ADDRESS_HASH_KEY.encode(), f"{scope}:{key}".encode(), hashlib.sha256).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (scope, key, hour, count) VALUES (%s, %s, %s, 1)"  # noqa: S608 - our own name
            f" ON CONFLICT (scope, key, hour) DO UPDATE SET count = {table}.count + 1 RETURNING count",
            [scope, hashed, connection.ops.adapt_datetimefield_value(hour)],
        )
        return int(cursor.fetchone()[0])


def network_of(meta: Mapping[str, str]) -> str:
    """Return the network a request came from, cut to /24 or /48; '' where that cannot be told.

    ``meta`` is ``request.META``. With n TRUSTED_PROXIES the n-th address from the right of
    X-Forwarded-For was written by the outermost of them; what stands left of it anybody may claim.
    """
    chain = [part.strip() for part in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    proxies = settings.TRUSTED_PROXIES
    claimed = chain[-proxies] if 0 < proxies <= len(chain) else meta.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(claimed)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


# Coming and going -------------------------------------------------------------------------------


def sign_up(  # noqa: PLR0913 - each is named at the call
    email: str,
    interests: Sequence[str],
    *,
    timezone: str,
    network: str | None,
    wording: str,
    now: dt.datetime,
    language: str = settings.LANGUAGE_CODE,
) -> None:
    """Take a sign-up, and owe the address one mail: a confirmation, or word that it is subscribed already.

    The same rows are written for every address, known or not, suppressed or not, so that neither
    the answer nor its time tells which it is; whether a mail may go is asked when it goes.
    Interests, time zone and language take effect at once for who is not subscribed (nothing is sent to them
    before they confirm) and not at all for who is: anybody can type an address into a form.
    Raises ``TooManyRequestsError``; ``QueryError`` and ``ValidationError`` as ``follow`` does.
    """
    if not admit(email, network, now):
        return
    with transaction.atomic():
        address = normalise_address(email)
        Subscriber.objects.bulk_create([Subscriber(email=address)], ignore_conflicts=True)
        subscriber = Subscriber.objects.select_for_update().get(email=address)
        is_reader = subscriber.state in {State.ACTIVE, State.PAUSED}
        with transaction.atomic():
            Subscriber.objects.filter(pk=subscriber.pk).update(timezone=timezone, language=language)
            replace_follows(subscriber, interests, [], set())
            # The work is done and thrown away for a reader: less work would be a shorter time.
            transaction.set_rollback(is_reader)
        _record(subscriber, Consent.Kind.SIGNED_UP, network or "", wording)
        emails.queue(subscriber, Mail.Kind.ALREADY_SUBSCRIBED if is_reader else Mail.Kind.CONFIRMATION, now)


def confirm(token: Token, now: dt.datetime, *, network: str = "", wording: str = "") -> bool:
    """Make the token's reader active, owe them the welcome; False if the token was burnt meanwhile.

    This is the reader's own confirmed sign-up: it lifts what an earlier leaving left behind, and
    burns every other link they hold. Who is subscribed already stays as they are.
    """
    with transaction.atomic():
        if not tokens.burn(token, now):
            return False
        subscriber = Subscriber.objects.select_for_update().get(pk=token.subscriber_id)
        tokens.burn_all(subscriber, now)
        _lift(subscriber, Suppression.Reason.UNSUBSCRIBED, Suppression.Reason.ERASED)
        _record(subscriber, Consent.Kind.CONFIRMED, network, wording)
        if subscriber.state not in {State.ACTIVE, State.PAUSED}:
            subscriber.state, subscriber.confirmed_at = State.ACTIVE, now
            subscriber.unsubscribed_at = subscriber.paused_until = None
            subscriber.save(update_fields=["state", "confirmed_at", "unsubscribed_at", "paused_until"])
            emails.queue(subscriber, Mail.Kind.WELCOME, now)
    return True


def unsubscribe(subscriber: Subscriber, now: dt.datetime, *, network: str = "", wording: str = "") -> str:
    """End the subscription at once; return a token that undoes it, or '' where it ended over an hour ago.

    Asking again changes nothing.
    """
    with transaction.atomic():
        subscriber = Subscriber.objects.select_for_update().get(pk=subscriber.pk)
        if subscriber.state != State.UNSUBSCRIBED:
            subscriber.state, subscriber.unsubscribed_at = State.UNSUBSCRIBED, now
            subscriber.save(update_fields=["state", "unsubscribed_at"])
            tokens.burn_all(subscriber, now)
            Suppression.objects.get_or_create(
                address_hash=hash_address(subscriber.email), reason=Suppression.Reason.UNSUBSCRIBED
            )
            _record(subscriber, Consent.Kind.UNSUBSCRIBED, network, wording)
            emails.queue(subscriber, Mail.Kind.GOODBYE, now)
        left_at = subscriber.unsubscribed_at or now
        is_recent = now - left_at < tokens.LIFETIMES[Token.Purpose.UNDO]
        return tokens.issue(subscriber, Token.Purpose.UNDO, now) if is_recent else ""


def undo(token: Token, now: dt.datetime, *, network: str = "", wording: str = "") -> bool:
    """Put the token's reader back as they were before they left; False if the token was burnt meanwhile."""
    with transaction.atomic():
        if not tokens.burn(token, now):
            return False
        subscriber = Subscriber.objects.select_for_update().get(pk=token.subscriber_id)
        tokens.burn_all(subscriber, now)
        _lift(subscriber, Suppression.Reason.UNSUBSCRIBED)
        _record(subscriber, Consent.Kind.RESTORED, network, wording)
        subscriber.state, subscriber.unsubscribed_at = _state_before_leaving(subscriber), None
        subscriber.save(update_fields=["state", "unsubscribed_at"])
    return True


# Changing the address ---------------------------------------------------------------------------


class AddressTakenError(Exception):
    """The new address belongs to another subscription."""


def ask_to_move(subscriber: Subscriber, email: str, network: str, now: dt.datetime) -> None:
    """Owe the new address a mail whose link changes to it, through the gate; nothing changes before."""
    if admit(email, network, now):
        emails.queue(subscriber, Mail.Kind.CHANGE, now, address=normalise_address(email))


def move(token: Token, now: dt.datetime, *, network: str = "", wording: str = "") -> bool:
    """Change the reader's address to the token's, and tell the old one; False if the token was burnt meanwhile.

    Who opened the link owns the new address, so this lifts what an earlier leaving left behind.
    The old address gets a way back for three days, in case that somebody else asked.
    Raises ``AddressTakenError``, and changes nothing then; who never confirmed has no claim.
    """
    with transaction.atomic():
        if not tokens.burn(token, now):
            return False
        subscriber = Subscriber.objects.select_for_update().get(pk=token.subscriber_id)
        Subscriber.objects.filter(email=token.address, state=State.PENDING).exclude(pk=subscriber.pk).delete()
        if Subscriber.objects.filter(email=token.address).exclude(pk=subscriber.pk).exists():
            raise AddressTakenError
        old, subscriber.email = subscriber.email, token.address
        subscriber.save(update_fields=["email"])
        tokens.burn_all(subscriber, now)
        _lift(subscriber, Suppression.Reason.UNSUBSCRIBED, Suppression.Reason.ERASED)
        _record(subscriber, Consent.Kind.MOVED, network, wording)
        if token.purpose == Token.Purpose.CHANGE_ADDRESS and old != token.address:
            emails.queue(subscriber, Mail.Kind.MOVED, now, address=old)
    return True


# By the reader's wish, or the operator's ---------------------------------------------------------


def ask_for_link(subscriber: Subscriber, network: str, now: dt.datetime) -> None:
    """Owe a reader a mail with a fresh link to their preferences, through the gate."""
    if admit(subscriber.email, network, now):
        emails.queue(subscriber, Mail.Kind.LINK, now)


def ask_to_confirm(subscriber: Subscriber, now: dt.datetime) -> bool:
    """Owe a reader who has not confirmed another confirmation, through the gate; for the operator.

    False for anybody else, and for an address that had enough of them in this hour.
    """
    if subscriber.state != State.PENDING or not admit(subscriber.email, None, now):
        return False
    emails.queue(subscriber, Mail.Kind.CONFIRMATION, now)
    return True


def forget(subscriber: Subscriber) -> None:
    """Delete a reader and all that is known of them, but for the HMAC that keeps them from being imported again."""
    with transaction.atomic():
        Suppression.objects.get_or_create(address_hash=hash_address(subscriber.email), reason=Suppression.Reason.ERASED)
        subscriber.delete()


def resume_due(now: dt.datetime) -> int:
    """Wake the readers whose pause is over on their own calendar; return how many."""
    paused = Subscriber.objects.filter(state=State.PAUSED, paused_until__isnull=False)
    woken = 0
    for timezone in paused.order_by().values_list("timezone", flat=True).distinct():
        today = now.astimezone(zone_of(timezone)).date()
        over = paused.filter(timezone=timezone, paused_until__lte=today)
        woken += over.update(state=State.ACTIVE, paused_until=None)
    return woken


def _lift(subscriber: Subscriber, *reasons: Suppression.Reason) -> None:
    address_hash = hash_address(subscriber.email)
    Suppression.objects.filter(address_hash=address_hash, reason__in=reasons).delete()


def _record(subscriber: Subscriber, kind: Consent.Kind, network: str, wording: str) -> None:
    Consent.objects.create(subscriber=subscriber, kind=kind, network=network, wording=wording)


def _state_before_leaving(subscriber: Subscriber) -> Subscriber.State:
    if not subscriber.confirmed_at:
        return State.PENDING
    return State.PAUSED if subscriber.paused_until else State.ACTIVE
