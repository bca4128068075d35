# The service with the shipped model; no torch inside.
#   docker build -t nextword .
#   docker build -t nextword:gpu --build-arg ONNXRUNTIME=onnxruntime-gpu .
FROM python:3.12-slim AS build
ARG ONNXRUNTIME=onnxruntime
WORKDIR /src
RUN python -m venv /opt/nextword
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY training ./training
COPY service ./service
RUN case "$ONNXRUNTIME" in \
        onnxruntime) extra=cpu ;; \
        onnxruntime-gpu) extra=gpu ;; \
        *) echo "ONNXRUNTIME is onnxruntime or onnxruntime-gpu, not $ONNXRUNTIME" >&2; exit 1 ;; \
    esac \
    && /opt/nextword/bin/pip install --no-cache-dir ".[${extra},service]"

FROM python:3.12-slim
COPY --from=build /opt/nextword /opt/nextword
ENV PATH=/opt/nextword/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "service", "--host", "0.0.0.0", "--port", "8000"]
