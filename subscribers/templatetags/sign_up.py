"""The sign-up form of every page, without a context processor that every view would pay for."""

from django import template
from django.template.context import Context

from subscribers.forms import SignUpForm

register = template.Library()


@register.simple_tag(takes_context=True)
def sign_up_form(context: Context) -> SignUpForm:
    """Return the form that came back with errors, if the view has one, else an empty one."""
    form = context.get("form")
    return form if isinstance(form, SignUpForm) else SignUpForm()
