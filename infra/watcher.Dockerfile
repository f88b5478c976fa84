# Built from the project root: docker buildx build --platform linux/arm64 -f infra/watcher.Dockerfile .
FROM python:3.13-slim AS build
COPY requirements/watcher.txt /tmp/watcher.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r /tmp/watcher.txt

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin watcher
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv
COPY chalicelib /srv/chalicelib
USER 10001
# SIGTERM must reach Python itself: it has 30 seconds to flush its queues.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "chalicelib.watcher"]
