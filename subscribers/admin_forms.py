"""What the operator may change about a reader, and what only the reader may."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.utils.translation import gettext_lazy as _

from papers import query
from subscribers.fields import explain
from subscribers.interests import TOO_MANY
from subscribers.models import MAX_FOLLOWS, Follow, Subscriber, Suppression, hash_address, normalise_address

State = Subscriber.State

# Where the operator may move a reader from each state; nobody but the reader leads to active.
NEXT_STATES = {
    State.PENDING: {State.PENDING, State.UNSUBSCRIBED},
    State.ACTIVE: {State.ACTIVE, State.PAUSED, State.UNSUBSCRIBED},
    State.PAUSED: {State.ACTIVE, State.PAUSED, State.UNSUBSCRIBED},
    State.UNSUBSCRIBED: {State.UNSUBSCRIBED},
}
REFUSALS = {
    State.PENDING: _("Only the reader can confirm this address. Use the action “Send the confirmation again”."),
    State.ACTIVE: _("This reader has confirmed the address. Choose active, paused or unsubscribed."),
    State.PAUSED: _("This reader has confirmed the address. Choose active, paused or unsubscribed."),
    State.UNSUBSCRIBED: _("This reader has left. Only a sign-up of their own, which they confirm, brings them back."),
}


class SubscriberForm(forms.ModelForm[Subscriber]):
    """A reader in admin: added as pending, and moved only where the operator may move them."""

    class Meta:
        model = Subscriber
        fields = "__all__"  # noqa: DJ007 - the admin names them

    def clean_email(self) -> str:
        address = normalise_address(self.cleaned_data["email"])
        reasons = Suppression.objects.filter(address_hash=hash_address(address)).values_list("reason", flat=True)
        if set(reasons) & {*Suppression.BLOCKING}:
            raise ValidationError(_("This address is blocked. Lift the suppression first, if you are sure."))
        if reasons:
            raise ValidationError(REFUSALS[State.UNSUBSCRIBED])
        return address

    def clean_state(self) -> str:
        state = State(self.cleaned_data["state"])
        before = State(self.initial["state"])
        if state not in NEXT_STATES[before]:
            raise ValidationError(REFUSALS[before])
        return state

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        data = self.cleaned_data
        if data.get("paused_until") and data.get("state", State.PAUSED) != State.PAUSED:
            self.add_error(
                "paused_until", _("Only a paused reader has an end of the pause. Choose paused, or empty it.")
            )
        return cleaned


class FollowForm(forms.ModelForm[Follow]):
    class Meta:
        model = Follow
        fields = ["wording", "is_starred", "is_muted"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if wording := self.cleaned_data.get("wording"):
            try:
                (query.parse_mute if self.cleaned_data.get("is_muted") else query.parse)(wording)
            except query.QueryError as error:
                self.add_error("wording", explain(error, wording))
        if self.cleaned_data.get("is_starred") and self.cleaned_data.get("is_muted"):
            self.add_error("is_starred", _("A mute hides; it cannot be starred. Choose one of the two."))
        return cleaned


class FollowFormSet(BaseInlineFormSet[Follow, Subscriber, FollowForm]):
    def rows(self) -> list[dict[str, Any]]:
        """Return what stays, in order."""
        data = [form.cleaned_data for form in self.forms if getattr(form, "cleaned_data", None)]
        return [row for row in data if row.get("wording") and not row.get("DELETE")]

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        rows = self.rows()
        if len({query.parse(row["wording"]).canonical for row in rows}) < len(rows):
            raise ValidationError(_("Two of the lines ask for the same. Keep one of them."))
        if len(rows) > MAX_FOLLOWS:
            raise ValidationError(TOO_MANY)


class BlockForm(forms.ModelForm[Suppression]):
    """Block an address; only its HMAC is kept."""

    address = forms.EmailField(
        label=_("Address"),
        help_text=_("Nothing at all is sent to it until you delete this entry. The address itself is not stored."),
    )

    class Meta:
        model = Suppression
        fields: list[str] = []

    def clean_address(self) -> str:
        address_hash = hash_address(self.cleaned_data["address"])
        if Suppression.objects.filter(address_hash=address_hash, reason=Suppression.Reason.OPERATOR).exists():
            raise ValidationError(_("This address is blocked already."))
        return address_hash

    def save(self, commit: bool = True) -> Suppression:
        self.instance.address_hash = self.cleaned_data["address"]
        self.instance.reason = Suppression.Reason.OPERATOR
        return super().save(commit)
