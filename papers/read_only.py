"""What every admin here has in common for rows that only the machine writes."""

from django.db.models import Model
from django.http import HttpRequest


class ReadOnly:
    """What the machine wrote and nobody corrects by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False
