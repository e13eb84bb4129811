"""The settings of the workers of ``million``: the product's, with the stages that concern a morning alone."""

import os

from newsletter.settings import *  # noqa: F403
from newsletter.settings import CELERY_BEAT_SCHEDULE as PRODUCTS

# What a killed worker held is free after this: the product's ten minutes are longer than the morning is to last.
CHUNK_LEASE_S = int(os.environ["BENCH_LEASE_S"])
# Nothing is fetched, and a small morning is over before the first minute is.
CELERY_BEAT_SCHEDULE = {
    stage: PRODUCTS[stage] | {"schedule": float(os.environ["BENCH_BEAT_S"])} for stage in ("deliver", "sweep")
}
