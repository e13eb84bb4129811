# Every target makes the virtualenv it needs first; a second run installs nothing.
# Works with GNU Make 3.81 (macOS) and later.

BIN = .venv/bin
PY = $(BIN)/python
PIP = $(PY) -m pip --disable-pip-version-check --no-input -qq install --require-hashes -r
# The first of these that is new enough; a name may be there without being a Python (pyenv's shims).
PYTHON = $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
# Made-up values, so that the checks of a deployment see the production shape.
PRODUCTION_SHAPE = env ENV_FILE=/dev/null PRODUCTION=true DEBUG=false PUBLIC_URL=https://papers.example.org \
	SECRET_KEY=made-up-for-make-check-0123456789-abcdefghijklmnopqrstuvwxyz \
	ADDRESS_HASH_KEY=made-up POSTAL_ADDRESS="1 Example Street, Exampleton" ANYMAIL_WEBHOOK_SECRET=made:up
SIZE = small
ONLY =
SEED =
ARGS =

CATALOGUE = newsletter/locale/de/LC_MESSAGES/django

.PHONY: help demo serve test check bench crash shots messages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/.run ## one real morning on this machine: papers, three made-up readers, their mails in var/outbox/
	@$(PY) manage.py demo

serve: .venv/.run ## the site on http://127.0.0.1:8000
	@$(PY) manage.py migrate --no-input --verbosity 0
	@$(PY) manage.py runserver 127.0.0.1:8000

test: .venv/.test ## every test; what needs more than is installed is skipped with a line (ARGS="-k word" for some)
	@$(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: .venv/.dev ## linters, types, templates, migrations, the deployment's settings, compose
	@failed=""; \
	step() { name="$$1"; shift; echo "== $$name"; "$$@" || failed="$$failed, $$name"; }; \
	step "ruff check" $(BIN)/ruff check --quiet .; \
	step "ruff format" $(BIN)/ruff format --quiet --check .; \
	step "mypy --strict" $(BIN)/mypy --no-error-summary; \
	step "djade" $(BIN)/djade --target-version 5.2 --check $$(find templates papers subscribers newsletter -name '*.html'); \
	step "missing migrations" env ENV_FILE=/dev/null $(PY) manage.py makemigrations --check --dry-run; \
	step "check --deploy" $(PRODUCTION_SHAPE) $(PY) manage.py check --deploy --fail-level WARNING; \
	step "compose schema" $(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml; \
	if [ -n "$$failed" ]; then echo "Failed: $${failed#, }"; exit 1; fi; \
	echo "All checks passed."

bench: .venv/.test var/peers/.installed ## the benchmarks, a line of JSON each (SIZE=full, ONLY=name)
	@$(PY) -m tests.benchmarks.run --size "$(SIZE)" --only "$(ONLY)"

crash: .venv/.test ## kills, freezes and confuses workers and servers over thousands of mails (SEED=1 repeats one)
	@$(PY) -m tests.crash.matrix $(if $(SEED),--seed "$(SEED)")

shots: .venv/.test ## pictures of the mails and pages in var/shots/ (README=1 also renews the one in docs/)
	@$(PY) -m tests.shots $(if $(README),--readme)

# What stands in admin and in the commands stays English, and out of the catalogue.
messages: .venv/.run ## renew the German catalogue from the code and compile it (needs gettext)
	@$(PY) manage.py makemessages --locale de --no-wrap --no-obsolete --add-location file --ignore "var/*" --ignore ".venv/*" \
		--ignore "tests/*" --ignore "*/admin*.py" --ignore "*/management/*"
	@sed -i.bak -e '/^"POT-Creation-Date/d' -e '/^"Report-Msgid/d' $(CATALOGUE).po && rm $(CATALOGUE).po.bak
	@msgfmt --output-file $(CATALOGUE).mo $(CATALOGUE).po

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Paperboy needs Python 3.11 or newer, and found none: install one (Debian: apt-get install python3 python3-venv)." >&2; \
		exit 1; fi
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; \
		echo "No virtualenv could be made with $(PYTHON): install its venv module (Debian: apt-get install python3-venv)." >&2; \
		exit 1; }

# Each file of requirements holds the one before it, so the bigger one stands for the smaller.
.venv/.run: requirements/run.txt | .venv/bin/python
	@echo "Installing what Paperboy runs on ..."
	@$(PIP) requirements/run.txt
	@touch $@

.venv/.test: requirements/test.txt | .venv/bin/python
	@echo "Installing what the tests need ..."
	@$(PIP) requirements/test.txt
	@touch .venv/.run $@

.venv/.dev: requirements/dev.txt | .venv/bin/python
	@echo "Installing the tools ..."
	@$(PIP) requirements/dev.txt
	@touch .venv/.run .venv/.test $@

# The peers' packages have names of ours among them: they get a virtualenv of their own.
var/peers/.installed: requirements/bench.txt | .venv/bin/python
	@echo "Installing what the benchmarks compare with ..."
	@$(PY) -m venv --clear var/peers
	@var/peers/bin/python -m pip --disable-pip-version-check --no-input -qq install --require-hashes -r requirements/bench.txt
	@touch $@
