# The server as an image: one process, which uses one core. Run as many as it takes behind a proxy; see docs/deploy.md.
#
#     docker build --tag evcharge .
#
# The Python the tests run on. Every package is a wheel with its hash from the lock: no compiler anywhere.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS packages
COPY requirements.lock /
# Without pip of its own: what runs needs none.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes --requirement /requirements.lock

FROM python:${PYTHON_VERSION}-slim-bookworm
# A number too, for Kubernetes' runAsNonRoot.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin evcharge
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/evcharge
COPY manage.py ./
COPY evcharge evcharge
COPY chargers chargers
COPY sessions sessions
COPY gateway gateway
COPY templates templates
# The file system may be read-only: byte code is written now. Static files are served from where they are.
RUN python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8080
USER 10001:10001
EXPOSE 8080
# Drains: readiness fails, sockets are closed over DRAIN_S. Give it DRAIN_NOTICE_S + DRAIN_S + 30 s before a kill.
STOPSIGNAL SIGTERM
# Whether the process answers; a database that is away is no reason to restart it. ALLOWED_HOSTS must hold localhost.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://localhost:{os.environ[\"PORT\"]}/health/live', timeout=4)"]
CMD ["python", "manage.py", "serve"]
