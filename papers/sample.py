"""The bundled sample: made-up papers that stand in for a source where there is no network."""

import datetime as dt
import json
from pathlib import Path

from papers.records import PaperRecord

SAMPLE = Path(__file__).parent / "sample" / "sample.json"


def sample_pages(today: dt.date) -> dict[dt.date, list[PaperRecord]]:
    """Return the sample's three lists, moved to the three days before ``today``, oldest first."""
    days = json.loads(SAMPLE.read_text(encoding="utf-8"))["days"]
    first = today - dt.timedelta(days=len(days))
    dates = [first + dt.timedelta(days=number) for number in range(len(days))]
    return {date: [_record(item, date) for item in day] for date, day in zip(dates, days, strict=True)}


def _record(item: dict[str, object], list_date: dt.date) -> PaperRecord:
    lists = {key: tuple(value) for key, value in item.items() if isinstance(value, list)}
    return PaperRecord(**item | lists, submitted_on=list_date, list_date=list_date, is_sample=True)  # type: ignore[arg-type]
