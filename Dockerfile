# docker build -t hookrouter .
# docker run -p 8080:8080 -v hookrouter:/var/lib/hookrouter -v ./routes.toml:/etc/hookrouter/routes.toml:ro hookrouter
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
# Without network: --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels and a volume with the wheels.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
RUN python3 -m venv /opt/hookrouter
COPY pyproject.toml README.md LICENSE requirements.lock /src/
COPY hookrouter /src/hookrouter
RUN /opt/hookrouter/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile \
        -c /src/requirements.lock "/src[speed]" \
 && /opt/hookrouter/bin/pip uninstall -q -y pip

FROM ${BASE_IMAGE}
COPY --from=build /opt/hookrouter /opt/hookrouter
COPY routes.toml /etc/hookrouter/routes.toml
RUN useradd --system --uid 8080 --home-dir /var/lib/hookrouter --create-home --shell /usr/sbin/nologin hookrouter
ENV PATH=/opt/hookrouter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOOKROUTER_CONFIG=/etc/hookrouter/routes.toml \
    HOOKROUTER_LISTEN=0.0.0.0:8080 \
    HOOKROUTER_LOG=json \
    HOOKROUTER_STORE=sqlite:///var/lib/hookrouter/state.db
USER hookrouter
WORKDIR /var/lib/hookrouter
VOLUME /var/lib/hookrouter
EXPOSE 8080
# Alive, not ready: a router whose Asterisk is away is a healthy one, and starting it again would not help.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ['HOOKROUTER_LISTEN'].rpartition(':')[2], timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["hookrouter"]
CMD ["serve"]
