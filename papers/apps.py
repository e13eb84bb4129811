"""Register the papers app, and check what the operator says of the sources."""

import re
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


class PapersConfig(AppConfig):
    name = "papers"

    def ready(self) -> None:
        register(sources)
        register(encoder)


def sources(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Refuse settings under which a list would go unread without a word."""
    from papers.sources import SOURCES  # noqa: PLC0415 - the models must be there

    known = ", ".join(sorted(SOURCES))
    complaints = [
        *(
            f"SOURCES names “{name}”, which is no source; known are: {known}."
            for name in settings.SOURCES
            if name not in SOURCES
        ),
        *(
            f"“{name}” in ARXIV_CATEGORIES is no arXiv category; write some such as cs.CL,stat.ML."
            for name in settings.ARXIV_CATEGORIES or [""]
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*(\.[A-Za-z-]{2,20})?", name)
        ),
    ]
    if not settings.ARXIV_ANNOUNCED or not set(settings.ARXIV_ANNOUNCED) <= {"new", "cross"}:
        complaints.append("ARXIV_ANNOUNCED is new, cross or both, separated by a comma.")
    return [Error(complaint, id="papers.E001") for complaint in complaints]


def encoder(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Refuse to start with an encoder that cannot be loaded, rather than fail at the first edition."""
    from papers.encoders import EncoderError, load  # noqa: PLC0415 - numpy is slow to import

    try:
        load(settings.ENCODER, settings.ENCODER_PATH)
    except EncoderError as error:
        return [Error(str(error), id="papers.E002")]
    return []
