FROM python:3.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN useradd --system --uid 10001 --create-home paperboy
WORKDIR /app

# Before the code, so that a change of the code does not install everything again.
# `providers` holds what some mail providers need besides: README, Mail.
ARG REQUIREMENTS=run
COPY requirements requirements
RUN pip install --require-hashes -r requirements/${REQUIREMENTS}.txt

COPY manage.py ./
COPY newsletter newsletter
COPY papers papers
COPY subscribers subscribers
COPY templates templates

# Made-up values: the static files depend on none of them, and none of them stays in the image.
RUN PRODUCTION=true SECRET_KEY=made-up ADDRESS_HASH_KEY=made-up POSTAL_ADDRESS=made-up PUBLIC_URL=https://example.org \
    python manage.py collectstatic --no-input
RUN chown -R paperboy: var
USER paperboy

# The commands of web, worker, beat and migrate are in docker-compose.yml.
EXPOSE 8000
