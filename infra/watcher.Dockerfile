# Built from the project root: docker buildx build --platform linux/arm64 -f infra/watcher.Dockerfile .
# Nothing runs on the target's architecture, so building needs no emulation.
FROM --platform=$BUILDPLATFORM python:3.13-slim-bookworm AS packages
ARG TARGETARCH
COPY requirements/watcher.txt /tmp/watcher.txt
RUN machine="$(test "$TARGETARCH" = arm64 && echo aarch64 || echo x86_64)" \
    && pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: \
        --implementation cp --python-version 3.13 \
        --platform "manylinux2014_$machine" --platform "manylinux_2_28_$machine" \
        --target /opt/packages -r /tmp/watcher.txt
COPY chalicelib /srv/chalicelib
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/packages /srv/chalicelib

FROM python:3.13-slim-bookworm
ENV HOME=/srv PYTHONPATH=/opt/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    WATCHER_HEALTH_PORT=8061
WORKDIR /srv
COPY --from=packages /opt/packages /opt/packages
COPY --from=packages /srv/chalicelib /srv/chalicelib
USER 10001:10001
# SIGTERM must reach Python itself: it hands over what it heard within 20 seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 \
    CMD ["python", "-m", "chalicelib.watcher.pulse"]
CMD ["python", "-m", "chalicelib.watcher"]
