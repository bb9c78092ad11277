# Where the integration suite meets RabbitMQ 4: Debian 13's server, beside Debian 12's amqp-tools to compare with.
FROM debian:bookworm-slim AS reference
WORKDIR /packages
RUN apt-get update && apt-get download amqp-tools librabbitmq4

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/mnesia /var/log/rabbitmq/* \
    && mkdir -p /etc/rabbitmq/conf.d
COPY --from=reference /packages /packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends /packages/*.deb ca-certificates openssl procps python3 \
    && rm -rf /var/lib/apt/lists/*
