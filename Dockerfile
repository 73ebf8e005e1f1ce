# docker build -t reelhouse . && docker run -p 8080:8080 -v reelhouse:/data -e REELHOUSE_API_KEY=… reelhouse

FROM node:20-bookworm-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund
COPY web ./
RUN npm run build

FROM rust:1.95-slim-bookworm AS programs
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc pkg-config libclang-dev libavcodec-dev libavformat-dev libavutil-dev \
      libswresample-dev libswscale-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
COPY --from=page /build/web/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --bins \
 && install -D -t /out target/release/reelhouse target/release/reelhouse-media

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin reelhouse \
 && install -d -o reelhouse -g reelhouse -m 0700 /data
COPY --from=programs /out/ /usr/local/bin/
USER reelhouse
WORKDIR /data
VOLUME /data
ENV REELHOUSE_DATA_DIR=/data REELHOUSE_LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["reelhouse"]
CMD ["serve"]
