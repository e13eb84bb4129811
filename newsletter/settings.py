"""The only reader of the environment. Every setting is listed in .env.example and in the README."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# What the environment already says wins over the file.
ENV_FILE = Path(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
if ENV_FILE.is_file():
    env.read_env(ENV_FILE)

# Where this instance lives --------------------------------------------------------------------

PRODUCTION = env.bool("PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEFAULT_SECRET_KEY = "insecure-development-key-set-SECRET_KEY-in-production"  # noqa: S105
SECRET_KEY = env.str("SECRET_KEY", default="") or DEFAULT_SECRET_KEY
# HMAC key of the addresses kept after an erase or a bounce. Never rotated; part of the backup.
ADDRESS_HASH_KEY = env.str("ADDRESS_HASH_KEY", default="")

PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
PUBLIC_HOST = urlsplit(PUBLIC_URL).hostname or ""
# The domain of our senders, Message-IDs and List-Id, unless DEFAULT_FROM_EMAIL says otherwise.
MAIL_DOMAIN = PUBLIC_HOST if re.search(r"\.[a-z]", PUBLIC_HOST) else "paperboy.localhost"
SITE_NAME = env.str("SITE_NAME", default="Paperboy")
POSTAL_ADDRESS = env.str("POSTAL_ADDRESS", default="")
OPERATOR_CONTACT = env.str("OPERATOR_CONTACT", default="")
ALLOWED_HOSTS = [PUBLIC_HOST, *env.list("ALLOWED_HOSTS", default=[])]
if not PRODUCTION:
    ALLOWED_HOSTS += ["127.0.0.1", "localhost", "[::1]", "testserver"]

# Apps and middleware --------------------------------------------------------------------------

INSTALLED_APPS = [
    "newsletter",
    "subscribers",
    "papers",
    "anymail",
    "axes",
    "csp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "newsletter.languages.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "newsletter.urls"
WSGI_APPLICATION = "newsletter.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "newsletter.views.site",
            ],
        },
    },
]

# Database, broker -----------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASES["default"].setdefault("OPTIONS", {})
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers read while one writes; IMMEDIATE takes the write lock when a transaction
    # begins, so that two of them queue up instead of failing half-way.
    DATABASES["default"]["OPTIONS"] |= {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    # Compiling what finds a page of readers takes a hundred times as long as finding them. PgBouncer, unless
    # it ignores this parameter, wants `?options=` at the end of DATABASE_URL.
    DATABASES["default"]["OPTIONS"].setdefault("options", "-c jit=off")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without REDIS_URL there is no broker: `manage.py tick` from cron does all the work.
REDIS_URL = env.str("REDIS_URL", default="")
REDIS_PREFIX = env.str("REDIS_PREFIX", default="paperboy:")
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Deliveries that one task works on, and how long it has them to itself unless it renews the lease in time.
CHUNK_SIZE = 500
CHUNK_LEASE_S = 600
EMAIL_TIMEOUT = 30
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Above the longest task, a chunk whose every message waits for the time-out: else Redis hands a
    # running task out a second time. What a dead host held is noted again by the sweeper, not by this.
    "visibility_timeout": 2 * CHUNK_SIZE * EMAIL_TIMEOUT,
    # A web request that queues a mail must not wait for a Redis that is down: the row waits instead.
    "socket_connect_timeout": 1,
    "global_keyprefix": REDIS_PREFIX,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Cancelling ends the child wherever it is: each loss of Redis would leave a mail that may have gone.
# A task that Redis hands out again meanwhile finds its chunk taken.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_PUBLISH_RETRY = False
# A child that leaks, or that once held a whole edition's index, is replaced between two tasks.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 512 * 1024  # KiB
# Service mails have a queue, and in production a worker, of their own: a confirmation does not wait
# for a million digests. Nor do the stages; a worker takes from its queues in turn.
STAGES, DIGESTS, SERVICE = "celery", "digests", "service"
CELERY_TASK_DEFAULT_QUEUE = STAGES
CELERY_TASK_QUEUES = [Queue(name) for name in (STAGES, DIGESTS, SERVICE)]
CELERY_TASK_ROUTES = {
    "newsletter.tasks.deliver_chunk": {"queue": DIGESTS},
    "newsletter.tasks.mail": {"queue": SERVICE},
    "newsletter.tasks.send_mail": {"queue": SERVICE},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
# The stages of `manage.py tick`, each on its own clock. A second beat is harmless: rows are unique.
CELERY_BEAT_SCHEDULE = {
    stage: {"task": f"newsletter.tasks.{stage}", "schedule": schedule, "options": {"expires": 240}}
    for stage, schedule in {
        "ingest": crontab(minute="*/10"),
        "close": crontab(minute="*/5"),
        "deliver": crontab(),
        "mail": crontab(),
        "sweep": crontab(),
        "watch": crontab(),
        "retention": crontab(minute="17", hour="3"),
    }.items()
} | {
    # A worker may live and take nothing: what counts is that a task of each worker ran of late.
    f"heartbeat of {queue}": {
        "task": "newsletter.tasks.heartbeat",
        "args": [queue],
        "schedule": crontab(),
        "options": {"queue": queue, "expires": 55},
    }
    for queue in (STAGES, SERVICE)
}

# Mail -----------------------------------------------------------------------------------------

# `file` writes .eml files into VAR_DIR/outbox; `smtp` uses EMAIL_URL; every other word names a
# backend of django-anymail, whose own ANYMAIL_… settings are passed on as they are.
EMAIL_PROVIDER = env.str("EMAIL_PROVIDER", default="file")
# While that one is paused, or has had its mails of the day, this one takes what was surely not sent.
EMAIL_FALLBACK_PROVIDER = env.str("EMAIL_FALLBACK_PROVIDER", default="")


def _backend(provider: str) -> str:
    ours = {"": "", "file": "newsletter.providers.OutboxBackend", "smtp": "newsletter.providers.SmtpBackend"}
    return ours.get(provider, f"anymail.backends.{provider}.EmailBackend")


EMAIL_BACKEND, EMAIL_FALLBACK_BACKEND = _backend(EMAIL_PROVIDER), _backend(EMAIL_FALLBACK_PROVIDER)
EMAIL_FILE_PATH = VAR_DIR / "outbox"
_smtp = env.email_url("EMAIL_URL", default="smtp://127.0.0.1:25")
EMAIL_HOST = _smtp["EMAIL_HOST"]
EMAIL_PORT = _smtp["EMAIL_PORT"]
EMAIL_HOST_USER = _smtp["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _smtp["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = _smtp.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _smtp.get("EMAIL_USE_SSL", False)
ANYMAIL_WEBHOOK_SECRET = env.str("ANYMAIL_WEBHOOK_SECRET", default="")
ANYMAIL: dict[str, Any] = {
    name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")
}
# boto3 would send again by itself what may have gone: several mails for a connection that was cut. What
# is sent again, and when, is for the rows to say.
ANYMAIL["AMAZON_SES_CLIENT_PARAMS"] = {
    "config": {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": EMAIL_TIMEOUT}
}
if "REQUESTS_TIMEOUT" in ANYMAIL:
    # A word would be refused at every call, as if each mail might have gone.
    ANYMAIL["REQUESTS_TIMEOUT"] = float(ANYMAIL["REQUESTS_TIMEOUT"])

# Postmark's stream for digests; service mails go to the server's default one. A broadcast stream adds
# an unsubscribe link of its own until that is turned off there: ours is in every mail.
POSTMARK_STREAM = env.str("POSTMARK_STREAM", default="broadcast")

# What the provider allows, in mails; 0 for no limit. All our processes together keep to it.
EMAIL_RATE_PER_SECOND = env.float("EMAIL_RATE_PER_SECOND", default=0.0)
EMAIL_RATE_PER_DAY = env.int("EMAIL_RATE_PER_DAY", default=0)
EMAIL_FALLBACK_RATE_PER_SECOND = env.float("EMAIL_FALLBACK_RATE_PER_SECOND", default=0.0)
EMAIL_FALLBACK_RATE_PER_DAY = env.int("EMAIL_FALLBACK_RATE_PER_DAY", default=0)
# How long a provider that takes nobody's mails is left alone before one mail tries; doubled each time.
PROVIDER_PAUSE_S = 60

# What is learnt of readers, which every mail then says: that it was opened, which papers were followed.
TRACK_OPENS = env.bool("TRACK_OPENS", default=False)
TRACK_CLICKS = env.bool("TRACK_CLICKS", default=False)

# What becomes of a mail that may have gone, where no key tells: `hold` (not sent again; the operator
# has a button) or `resend` (once more, which may be twice).
UNKNOWN_DELIVERIES = env.str("UNKNOWN_DELIVERIES", default="hold")
# How long to wait before a call without an answer is made again under its key.
KEY_REPEAT_S = 30

# Digests and service mails have senders of their own, so that a complaint about one does not
# weigh on the other.
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"{SITE_NAME} <digest@{MAIL_DOMAIN}>")
SERVICE_FROM_EMAIL = env.str("SERVICE_FROM_EMAIL", default=f"{SITE_NAME} <hello@{MAIL_DOMAIN}>")
REPLY_TO = env.str("REPLY_TO", default="")
# Who is told when something needs the operator: an address, and a URL that takes a JSON document by POST.
ALERT_EMAIL = env.str("ALERT_EMAIL", default="")
ALERT_URL = env.str("ALERT_URL", default="")
# Called by GET after each good tick: the watch that notices when nothing runs any more.
HEARTBEAT_URL = env.str("HEARTBEAT_URL", default="")
SERVER_EMAIL = SERVICE_FROM_EMAIL

# Sources --------------------------------------------------------------------------------------

# The sources that `tick` polls, by the names that `manage.py ingest --source` knows.
SOURCES = env.list("SOURCES", default=["huggingface", "arxiv"])
HUGGINGFACE_URL = env.str("HUGGINGFACE_URL", default="https://huggingface.co").rstrip("/")
# Doubles the requests that Hugging Face allows; a free "read" token will do.
HF_TOKEN = env.str("HF_TOKEN", default="")
ARXIV_API_URL = env.str("ARXIV_API_URL", default="https://export.arxiv.org").rstrip("/")
ARXIV_RSS_URL = env.str("ARXIV_RSS_URL", default="https://rss.arxiv.org").rstrip("/")
ARXIV_OAI_URL = env.str("ARXIV_OAI_URL", default="https://oaipmh.arxiv.org").rstrip("/")
# https://arxiv.org/category_taxonomy; a paper counts if any of its categories is among them.
ARXIV_CATEGORIES = env.list("ARXIV_CATEGORIES", default=["cs.AI", "cs.CL", "cs.CV", "cs.LG", "stat.ML"])
# What puts a paper on the day's list; replacements never do, they only bring a known paper up to date.
ARXIV_ANNOUNCED = env.list("ARXIV_ANNOUNCED", default=["new", "cross"])

# Meaning --------------------------------------------------------------------------------------

# Closeness in meaning, besides words: nothing, `wordllama` (its weights come in its package), or
# `onnx`: any sentence encoder in the folder ENCODER_PATH, as model.onnx and tokenizer.json.
ENCODER = env.str("ENCODER", default="")
ENCODER_PATH = env.str("ENCODER_PATH", default="")

# Editions -------------------------------------------------------------------------------------

# arXiv's feed is just out then, and yesterday's Daily Papers list has a day's votes.
EDITION_CLOSES_AT = env.str("EDITION_CLOSES_AT", default="00:30 America/New_York")

# A new sender's first weeks: digests of an edition at most, to those longest without one; 0 is any number.
WARM_UP_PER_DAY = env.int("WARM_UP_PER_DAY", default=0)

# Web ------------------------------------------------------------------------------------------

# How many reverse proxies stand in front; their X-Forwarded-For and X-Forwarded-Proto are believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
_https = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = PRODUCTION and _https
# The container's own health check speaks plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL_REDIRECT else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_SSL_REDIRECT
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1  # hour
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "newsletter" / "locale"]
FORMAT_MODULE_PATH = ["newsletter.formats"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns about a folder that collectstatic has yet to make
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG

# Logs -----------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # The address that a request asks for may hold a token: the web server's access log is the
    # operator's to switch on.
    "loggers": {"django.request": {"level": "ERROR"}, "axes": {"level": "WARNING"}},
}

# What production must not start without ---------------------------------------------------------

LONGEST_UNSUBSCRIBE = 60  # characters of `<PUBLIC_URL/u/token>`: a mail header must not be folded inside it


def refuse_unsafe_settings() -> None:
    """Raise ``ImproperlyConfigured``, with every remedy at once, for settings that must not go live."""
    anymail = {EMAIL_PROVIDER, EMAIL_FALLBACK_PROVIDER} - {"", "file", "smtp"}
    problems = [
        remedy
        for is_wrong, remedy in (
            (SECRET_KEY == DEFAULT_SECRET_KEY, "set SECRET_KEY to a long random string of your own"),
            (
                "PUBLIC_URL" not in os.environ,
                "set PUBLIC_URL to the address readers reach, such as https://papers.example.org",
            ),
            (not POSTAL_ADDRESS, "set POSTAL_ADDRESS: the law wants one in the footer of every digest"),
            (not ADDRESS_HASH_KEY, "set ADDRESS_HASH_KEY to a random string, keep it for ever and back it up"),
            (
                bool(anymail) and not ANYMAIL_WEBHOOK_SECRET,
                "set ANYMAIL_WEBHOOK_SECRET to `user:password`, as the provider will send it",
            ),
        )
        if is_wrong
    ]
    if PRODUCTION and problems:
        raise ImproperlyConfigured("PRODUCTION=true needs more settings: " + "; ".join(problems) + ".")
    if len(f"<{PUBLIC_URL}/u/") + 22 + len(">") > LONGEST_UNSUBSCRIBE:
        longest = LONGEST_UNSUBSCRIBE - len("</u/>") - 22
        raise ImproperlyConfigured(
            f"PUBLIC_URL is {len(PUBLIC_URL)} characters long; set one of at most {longest}, so that the"
            " unsubscribe link fits unbroken into a mail header."
        )
    _refuse_unknown_providers()
    if UNKNOWN_DELIVERIES not in {"hold", "resend"}:
        raise ImproperlyConfigured(f"UNKNOWN_DELIVERIES is {UNKNOWN_DELIVERIES!r}; set it to hold or to resend.")
    for name in (f"EMAIL_{which}RATE_PER_{time}" for which in ("", "FALLBACK_") for time in ("SECOND", "DAY")):
        if globals()[name] < 0:
            raise ImproperlyConfigured(f"set {name} to what the provider allows, or to 0 for no limit.")
    if not re.fullmatch(r"https?://[^/?#]+(/[^?#]*)?", PUBLIC_URL):
        raise ImproperlyConfigured("set PUBLIC_URL to an address that starts with http:// or https://.")


def _refuse_unknown_providers() -> None:
    if EMAIL_FALLBACK_PROVIDER == EMAIL_PROVIDER:
        raise ImproperlyConfigured(f"EMAIL_FALLBACK_PROVIDER is {EMAIL_PROVIDER} as well; set another, or none.")
    for name, provider in (("EMAIL_PROVIDER", EMAIL_PROVIDER), ("EMAIL_FALLBACK_PROVIDER", EMAIL_FALLBACK_PROVIDER)):
        if provider not in {"", "file", "smtp"} and not find_spec(f"anymail.backends.{provider}"):
            raise ImproperlyConfigured(f"{name} is {provider!r}; set it to file, smtp or a backend of django-anymail.")
        if provider == "amazon_ses" and not find_spec("boto3"):
            raise ImproperlyConfigured(f"{name} is amazon_ses, which sends by boto3: `pip install paperboy[ses]`.")


refuse_unsafe_settings()
