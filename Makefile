# Everything here needs python3 (3.11 or newer) and make; bootstrap.py brings the rest into .venv and node_modules.
PYTHON ?= python3
PY := .venv/bin/python
BOOTSTRAP := $(PYTHON) bootstrap.py
# What is compiled is kept, whatever the shell says: else every server of the tests compiles all of Django again, and
# starts in three times the time.
export PYTHONDONTWRITEBYTECODE :=
# Flows wait more than they compute: two at a time for each core.
PYTEST := $(PY) -m pytest --numprocesses $(shell $(PYTHON) -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))')

# An installation as it should be, for the checks that judge one. Nothing connects to these addresses.
PRODUCTION := env -u DEBUG -u DEMO ENV_FILE=/dev/null HTTPS=true TRUSTED_PROXIES=10.0.0.0/8 MIN_SECURITY_PROFILE=2 PROCESSES=2 \
  ALLOWED_HOSTS=charge.example CSRF_TRUSTED_ORIGINS=https://charge.example \
  DATABASE_URL=postgresql://evcharge@db.example/evcharge REDIS_URL=redis://bus.example:6379/0 \
  SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(50))')
# Defaults, whatever the shell and .env say: enough to load the settings, on a database in memory.
PLAIN := env -u DEBUG -u DEMO ENV_FILE=/dev/null DATABASE_URL=sqlite://:memory: REDIS_URL= \
  SECRET_KEY=only-to-load-the-settings-for-checks-0123456789abcdef

.DEFAULT_GOAL := help
.PHONY: help demo clean-demo run test check format bench soak resilience lock docs clients messages clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo:  ## Server, chargers and users with one command; PORT=8081 CHARGERS=20 make demo
	@$(BOOTSTRAP) run
	@DEMO=true $(PY) manage.py demo $(ARGS)

clean-demo:  ## Forget the demo's data
	rm -rf .demo

run:  ## The server with your settings (environment or .env), its database brought up to date
	@$(BOOTSTRAP) run
	@$(BOOTSTRAP) env
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py serve $(ARGS)

test: check  ## Checks, then the tests on SQLite and on PostgreSQL with Valkey; ARGS="-k start -x" goes to pytest
	STACK=embedded $(PYTEST) $(ARGS)
	STACK=real $(PYTEST) -m "not embedded_only" $(ARGS)

check:  ## Format, lint, types, import rule, migrations, settings, locks, published documents
	@$(BOOTSTRAP) test
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PLAIN) $(PY) -m mypy
	$(PLAIN) .venv/bin/lint-imports
	$(PLAIN) $(PY) manage.py makemigrations --check --dry-run
	$(PLAIN) $(PY) manage.py check
	$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING
	$(BOOTSTRAP) fresh
	$(PLAIN) $(PY) manage.py export_api_docs --check

format:  ## Mend what `make check` says of format and imports
	@$(BOOTSTRAP) test
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

bench:  ## Measure against the yardsticks: T1 to T12, and 10,000 sockets; T=3, T=1,8 or T=sockets for some
	@$(BOOTSTRAP) test
	$(PY) -m tests.benchmarks $(if $(T),--only $(T)) $(ARGS)

soak:  ## The ledger against what truly happened, with every fault; ARGS="--minutes 20 --chargers 200 --seed 7"
	@$(BOOTSTRAP) test
	$(PY) -m tests.soak $(ARGS)

resilience:  ## Kill, stop and cut off servers in mid-charge; the figures go to docs/resilience.md
	@$(BOOTSTRAP) test
	$(PY) -m tests.resilience

lock:  ## Recompile the locks from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(BOOTSTRAP) lock $(ARGS)

docs:  ## Write the published API documents and .env.example anew from the code
	@$(BOOTSTRAP) run
	$(PLAIN) $(PY) manage.py export_api_docs

clients:  ## Write the published clients' types anew from the API documents, and the browser's copy
	@$(BOOTSTRAP) test
	$(PY) docs/clients/generate.py

messages:  ## Bring the translations in gateway/locale up to date with the code, and compile them
	@$(BOOTSTRAP) test
	$(PLAIN) $(PY) -m tests.catalogues

clean:  ## Remove caches and test artifacts; .venv, node_modules and .demo stay
	rm -rf .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache tests/artifacts
	find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
