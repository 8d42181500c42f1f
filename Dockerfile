# docker build -t gemserve .                       CPU
# docker build -t gemserve:gpu --build-arg DEVICE=gpu .   CUDA (run with --gpus all)
# docker build -t gemserve --build-arg STORES=s3fs .      with what bundles in S3 need (gcsfs for Google's)
# The same lock files and Makefile steps as on a machine without Docker.
FROM python:3.11-slim-bookworm
ARG DEVICE=cpu
ARG STORES=
ENV VENV=/opt/venv DEVICE=${DEVICE} PYTHONUNBUFFERED=1 UV_COMPILE_BYTECODE=1 \
    HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_LOGGING_LEVEL=ERROR DO_NOT_TRACK=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends make gcc g++ git libnuma1 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY Makefile ./
COPY requirements requirements
RUN make deps PYTHON=python3 \
 && { test -z "$STORES" || /opt/venv/bin/uv pip install --python /opt/venv/bin/python -c requirements/$DEVICE.txt $STORES; } \
 && rm -rf /root/.cache
COPY . .
RUN make setup PYTHON=python3 \
 && useradd --create-home gemserve && mkdir /bundles && chown gemserve /bundles
USER gemserve
VOLUME /bundles
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["/opt/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready')"]
ENTRYPOINT ["/opt/venv/bin/python"]
# Every machine that reaches the port may read and write: publish it on loopback, as compose.yaml does, or give it --keys.
CMD ["-m", "server", "--host", "0.0.0.0", "--require-keys", "false", "--bundles", "/bundles", "--redis", "redis://redis:6379/0"]
