# docker build -t hookrouter .
# docker run -p 8080:8080 -v hookrouter:/var/lib/hookrouter -v ./routes.toml:/etc/hookrouter/routes.toml:ro hookrouter
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
# Without network: --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels and a volume with the wheels.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
RUN python3 -m venv /opt/hookrouter
COPY pyproject.toml README.md LICENSE NOTICE requirements.run.lock /src/
COPY hookrouter /src/hookrouter
COPY examples /src/examples
RUN pip="/opt/hookrouter/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile" \
 && $pip --require-hashes -r /src/requirements.run.lock \
 && $pip --no-deps /src \
 && /opt/hookrouter/bin/pip uninstall -q -y pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="hookrouter" \
      org.opencontainers.image.description="Puts every call on an Asterisk into the hands of a web function in any language." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="the hookrouter developers"
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
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python3", "-c", "import os, ssl, urllib.request as r; e = os.environ.get; r.urlopen('%s://127.0.0.1:%s/healthz' % (e('HOOKROUTER_SCHEME', 'http'), e('HOOKROUTER_LISTEN').rpartition(':')[2]), timeout=2, context=ssl._create_unverified_context())"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["hookrouter"]
CMD ["serve"]
