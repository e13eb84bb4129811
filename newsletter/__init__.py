"""The Django project, and the place where papers meet readers: editions, digests, deliveries."""

from newsletter.celery import app as celery_app

__all__ = ["celery_app"]
