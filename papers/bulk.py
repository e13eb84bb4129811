"""Many rows in one statement: they travel as one JSON document, which the database takes apart.

``bulk_create`` prepares every value by itself and cuts its rows to SQLite's 999 parameters, and
took most of the time of storing a list. Both databases read JSON at their own speed.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, models
from django.db.models.expressions import RawSQL
from django.utils import timezone
from psycopg import sql
from psycopg.types.json import Jsonb

Row = Mapping[str, Any]

# A row of a document. SQLite writes it out anew for each of its columns, unless a limit keeps the two queries apart.
EACH = "(SELECT value FROM json_each(%s) LIMIT -1)"


def upsert(model: type[models.Model], rows: Sequence[Row], *, unique: str) -> None:
    """Insert ``rows``, {field: value}, or update those that stand there with the same ``unique`` field.

    All rows have the same fields. What they do not name has its default in a new row and stays as
    it is in an old one, but for the time of the last change.
    """
    if rows:
        changing = [f for f in _fields(model) if (f.name in rows[0] and f.name != unique) or _is_time_of_change(f)]
        updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in map(_quoted, changing))
        (key,) = (_quoted(field) for field in _fields(model) if field.name == unique)
        _insert(model, rows, f"ON CONFLICT ({key}) DO UPDATE SET {updates}")


def insert_missing(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert ``rows``, {field: value}, but for those that a unique constraint finds to be there."""
    if rows:
        _insert(model, rows, "ON CONFLICT DO NOTHING")


def listed(name: str, columns: Mapping[str, str], count: int) -> str:
    """Return the FROM item ``name`` that makes rows of a ``document``, the statement's parameter at that place.

    ``columns`` are {key of the document's rows: PostgreSQL's type}. For an UPDATE … FROM of many rows at
    once, which costs a fiftieth of as many UPDATEs. ``count`` is that of the rows: PostgreSQL takes a
    document to hold a hundred, for which it read tables of some thousand rows whole, mail by mail.
    """
    if connection.vendor == "sqlite":
        values = ", ".join(f"json_extract(value, '$.{column}') AS {column}" for column in columns)
        return f"(SELECT {values} FROM {EACH}) AS {name}"  # noqa: S608 - names of our own columns
    declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    return f"(SELECT * FROM json_to_recordset(%s::json) AS rows({declared}) LIMIT {count}) AS {name}"  # noqa: S608


def among(ids: Iterable[int]) -> RawSQL:
    """Return many ids for an ``__in`` lookup as one parameter: a thousand take longer to prepare than to look up."""
    if connection.vendor == "sqlite":
        return RawSQL("SELECT value FROM json_each(%s)", [orjson.dumps(list(ids)).decode()])
    return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])


def document(rows: Iterable[Row]) -> str:
    """Return rows as the JSON document that the databases take apart; times as this database writes them."""
    return orjson.dumps(list(rows), default=_as_text, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def insert(model: type[models.Model], rows: Sequence[Row], returning: Sequence[str]) -> list[tuple[Any, ...]]:
    """Insert ``rows``, {field: value}, and return these columns of each, in no order that means anything.

    A default that is drawn anew for each row, such as a token, is for the caller to give.
    """
    return _insert(model, rows, f"RETURNING {', '.join(map(connection.ops.quote_name, returning))}") if rows else []


def fill(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert ``rows``, {field: value}, that hold much JSON: by COPY where there is one, which parses it once.

    As part of a document it is parsed twice: a digest's picks took PostgreSQL 69 us so, and 33
    by COPY. All rows have the same fields; what they do not name has its default.
    """
    if connection.vendor != "postgresql":
        _insert(model, rows, "")
        return
    fields = _fields(model)
    default = {field.name: field.get_default() for field in fields}
    columns = sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in fields)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(model._meta.db_table), columns)
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            values = default | dict(row)
            copy.write_row([_copied(field, values[field.name]) for field in fields])


def _copied(field: "models.Field[Any, Any]", value: Any) -> Any:
    return Jsonb(value, dumps=orjson.dumps) if isinstance(field, models.JSONField) else value


def _insert(model: type[models.Model], rows: Sequence[Row], tail: str) -> list[tuple[Any, ...]]:
    fields = _fields(model)
    at = timezone.now()
    blank = {str(field.column): at if _is_a_time_of_writing(field) else field.get_default() for field in fields}
    columns = {field.name: str(field.column) for field in fields}
    values = document(blank | {columns[name]: value for name, value in row.items()} for row in rows)
    table, into = connection.ops.quote_name(model._meta.db_table), ", ".join(map(_quoted, fields))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({into}) {_from_json(fields)} {tail}", [values])
        return cursor.fetchall() if cursor.description else []


def _fields(model: type[models.Model]) -> list["models.Field[Any, Any]"]:
    return [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]


def _quoted(field: "models.Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))


def _is_time_of_change(field: "models.Field[Any, Any]") -> bool:
    return bool(getattr(field, "auto_now", False))


def _is_a_time_of_writing(field: "models.Field[Any, Any]") -> bool:
    return _is_time_of_change(field) or bool(getattr(field, "auto_now_add", False))


def _from_json(fields: Iterable["models.Field[Any, Any]"]) -> str:
    """Return the SELECT that makes rows of the document, which is its one parameter."""
    if connection.vendor == "sqlite":
        values = ", ".join(f"json_extract(value, '$.{field.column}')" for field in fields)
        return f"SELECT {values} FROM {EACH} WHERE true"  # noqa: S608 - names of our own columns
    declared = ", ".join(f"{_quoted(field)} {field.db_type(connection)}" for field in fields)
    return f"SELECT * FROM json_to_recordset(%s::json) AS rows({declared})"  # noqa: S608


@lru_cache(maxsize=1_000)  # the rows of a list share their moments
def _as_text(value: object) -> str:
    """Write a date or a moment as this database writes them."""
    if isinstance(value, dt.datetime):
        return str(connection.ops.adapt_datetimefield_value(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of a column")
