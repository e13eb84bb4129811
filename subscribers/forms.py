"""The forms that readers fill in; an error says what to write instead."""

import datetime as dt
from typing import Any

from django import forms
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from papers import query
from subscribers import interests
from subscribers.fields import InterestsField
from subscribers.models import MAX_FOLLOWS, Follow, Subscriber, timezones

State = Subscriber.State


# Signing up -------------------------------------------------------------------------------------

# Nobody reads, types and sends a form faster; most robots do.
MINIMUM_TIME = dt.timedelta(seconds=2)
_signer = signing.Signer(salt="subscribers.sign_up")


def consent_wording() -> str:
    """Return the words beside the button, which the consent keeps."""
    return gettext("%(site)s may send me papers at this address. I can unsubscribe with one click in every mail.") % {
        "site": settings.SITE_NAME
    }


def stamp(now: dt.datetime) -> str:
    """Return the signed moment at which a form was shown. Pages are cached, so it never grows too old."""
    return _signer.sign(f"{now.timestamp():.6f}")


class SignUpForm(forms.Form):
    """The form that stands on every page; it can be cached, for it holds nothing about the visitor."""

    email = forms.EmailField(
        label=_("Your e-mail address"),
        max_length=254,
        error_messages={
            "required": _("Write the address that the papers should go to."),
            "invalid": _("This is no e-mail address. Write one such as you@example.org."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )
    interests = InterestsField(
        label=_("What you are interested in"),
        help_text=_(
            "One per line: diffusion models is a topic, “chain of thought” exactly these words, robot -surgery leaves"
            " a word out, a OR b is either. Fields: author:“Fei-Fei Li”, org:deepmind, cat:cs.CL, title:survey,"
            " like:2401.12345."
            " Leave it empty to get the day's trending papers."
        ),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    # Filled in by sign_up.js; without it the reader chooses later, on the preferences page.
    timezone = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"data-timezone": ""}))
    # The honeypot: it stands outside the screen, and only robots fill it in.
    note = forms.CharField(
        label=_("Leave this empty"),
        required=False,
        widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}),
    )
    started = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, now: dt.datetime | None = None) -> None:
        self.now = now or timezone.now()
        super().__init__(data, auto_id="sign-up-%s", initial={"started": stamp(self.now), "timezone": "UTC"})

    @property
    def consent(self) -> str:
        return consent_wording()

    @property
    def is_robot(self) -> bool:
        """Whether the field that nobody sees was filled in."""
        return bool(self.data.get("note"))

    def clean_timezone(self) -> str:
        """A browser may name a zone that we do not know; the reader need not hear of it."""
        name = self.cleaned_data["timezone"]
        return name if name in timezones() else "UTC"

    def clean(self) -> dict[str, Any]:
        shown_at = self._shown_at()
        if shown_at is None:
            # Our key changed, or a robot wrote the field: the form comes back with a good one.
            self.data = {**self.data, "started": stamp(self.now)}
            raise ValidationError(_("Nothing is lost: please look it over and press the button once more."))
        if self.now - shown_at < MINIMUM_TIME:
            raise ValidationError(_("That was quick! Please look it over and press the button once more."))
        return self.cleaned_data

    def _shown_at(self) -> dt.datetime | None:
        try:
            return dt.datetime.fromtimestamp(float(_signer.unsign(self.cleaned_data["started"])), dt.UTC)
        except signing.BadSignature:
            return None


# Preferences ------------------------------------------------------------------------------------


class PreferencesForm(forms.ModelForm[Subscriber]):
    """All that a reader may choose, from the link in any of their mails."""

    interests = InterestsField(
        has_stars=True,
        label=_("Interests"),
        help_text=_(
            "One per line. A line that starts with * is starred: its papers come first and always get a place."
            " “chain of thought” is exactly these words, -surgery leaves a word out, a OR b is either."
            " Fields: author:“Fei-Fei Li”, org:deepmind, cat:cs.CL, title:survey, like:2401.12345."
        ),
        widget=forms.Textarea(attrs={"rows": 7, "spellcheck": "false"}),
    )
    mutes = InterestsField(
        hides=True,
        label=_("Never show me"),
        help_text=_(
            "One per line: words, or a field such as org:deepmind. A paper with one of them is left out,"
            " whatever else it matches."
        ),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    hour = forms.TypedChoiceField(label=_("Hour"), coerce=int, choices=[(hour, f"{hour:02}:00") for hour in range(24)])

    class Meta:
        model = Subscriber
        fields = [
            "language",
            "trending_weight",
            "paper_count",
            "wants_trending",
            "wants_trending_if_no_match",
            "frequency",
            "weekday",
            "hour",
            "timezone",
            "wants_late_notice",
            "paused_until",
        ]
        widgets = {
            "trending_weight": forms.NumberInput(attrs={"type": "range", "min": 0, "max": 100, "step": 10}),
            "paper_count": forms.NumberInput(attrs={"min": 1, "max": 25}),
            "frequency": forms.RadioSelect,
            "timezone": forms.TextInput(attrs={"list": "timezones", "autocomplete": "off", "spellcheck": "false"}),
            "paused_until": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        labels = {
            "language": _("Language of the mails"),
            "trending_weight": _("What orders your papers"),
            "paper_count": _("Papers in a mail, at most"),
            "wants_trending": _("Add a section with today's trending papers"),
            "wants_trending_if_no_match": _("When nothing matches, send me the trending papers"),
            "frequency": _("How often"),
            "weekday": _("Day of the weekly mail"),
            "timezone": _("Time zone"),
            "wants_late_notice": _("Tell me in a short mail when a source failed"),
            "paused_until": _("Pause until"),
        }
        help_texts = {
            "language": "",
            "trending_weight": _("Left: how well a paper matches your interests. Right: how much it is talked about."),
            "paper_count": _("Between 1 and 25."),
            "wants_trending": "",
            "wants_trending_if_no_match": _("Otherwise such a day passes without a mail."),
            "weekday": _("For a weekly mail only."),
            "timezone": _("Such as Europe/Berlin or America/New_York."),
            "wants_late_notice": _("Otherwise such a day passes without a mail."),
            "paused_until": _("The first day with a mail again; it then also covers the time between."),
        }

    def __init__(self, data: Any = None, *, instance: Subscriber, now: dt.datetime) -> None:
        self.today = now.astimezone(instance.zone).date()
        super().__init__(data, instance=instance, initial=self._initial(instance))

    def _initial(self, subscriber: Subscriber) -> dict[str, object]:
        follows = list(subscriber.follows.all())
        initial: dict[str, object] = {
            "interests": "\n".join(_as_line(row) for row in follows if not row.is_muted),
            "mutes": "\n".join(row.wording for row in follows if row.is_muted),
        }
        if subscriber.paused_until and subscriber.paused_until <= self.today:
            initial["paused_until"] = None
        return initial

    def clean_paused_until(self) -> dt.date | None:
        until: dt.date | None = self.cleaned_data["paused_until"]
        if until and until <= self.today:
            raise ValidationError(_("Choose a day after today, or leave it empty to get your mails."))
        return until

    def clean(self) -> dict[str, Any]:
        # Without super().clean(), which would ask the database about each constraint: the fields
        # have the same rules.
        wanted = [line.wording for line in self.cleaned_data.get("interests", [])]
        mutes = [line.wording for line in self.cleaned_data.get("mutes", [])]
        if len(wanted) + len(mutes) > MAX_FOLLOWS:
            self.add_error("interests", interests.TOO_MANY)
        canonicals = {query.parse(wording).canonical for wording in wanted}
        for mute in mutes:
            if query.parse(mute).canonical in canonicals:
                message = gettext("“%(mute)s” is an interest too. Keep it here or there.") % {"mute": mute}
                self.add_error("mutes", message)
        return self.cleaned_data

    def save(self, commit: bool = True) -> Subscriber:  # noqa: ARG002 - Django's signature
        """Store everything at once; who is not subscribed (any more) is not brought back by this."""
        with transaction.atomic():
            stored = Subscriber.objects.select_for_update().only("state").get(pk=self.instance.pk)
            self.instance.state = self._state_after(State(stored.state))
            self.instance.save(update_fields=[*self.Meta.fields, "state"])
            lines = self.cleaned_data["interests"]
            given_up = interests.replace_follows(
                self.instance,
                [line.wording for line in lines],
                [line.wording for line in self.cleaned_data["mutes"]],
                {line.wording for line in lines if line.is_starred},
            )
        interests.delete_orphans(given_up)
        return self.instance

    def _state_after(self, state: Subscriber.State) -> Subscriber.State:
        if state not in {State.ACTIVE, State.PAUSED}:
            return state
        return State.PAUSED if self.cleaned_data["paused_until"] else State.ACTIVE


class AddressForm(forms.Form):
    """Where the digests are to go from now on."""

    email = forms.EmailField(
        label=_("Your new e-mail address"),
        max_length=254,
        error_messages={
            "required": _("Write the address that the papers should go to."),
            "invalid": _("This is no e-mail address. Write one such as you@example.org."),
        },
        widget=forms.EmailInput({"autocomplete": "email"}),
    )


class MuteForm(forms.Form):
    """One word, phrase or other line to hide from now on."""

    word = InterestsField(hides=True, label=_("A word, a phrase or a field"), max_length=query.LONGEST)

    def clean_word(self) -> str:
        """Return the one line that was written."""
        lines = [line.wording for line in self.cleaned_data["word"]]
        if len(lines) != 1:
            raise ValidationError(gettext("Write one thing to hide, such as survey or “federated learning”."))
        return str(lines[0])


def _as_line(row: Follow) -> str:
    return f"* {row.wording}" if row.is_starred else row.wording
