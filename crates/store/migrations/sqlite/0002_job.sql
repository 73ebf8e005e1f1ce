-- Durable background work: pushed in the transaction that needs it, gone in the transaction that ends it.
CREATE TABLE job (
    id              TEXT PRIMARY KEY NOT NULL,
    asset_id        TEXT NOT NULL,
    -- 'hls', 'thumbnail', 'storyboard'
    kind            TEXT NOT NULL,
    -- 'queued', 'running', 'dead' (given up), 'canceled'
    state           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    -- Not before.
    run_at          BIGINT NOT NULL,
    -- Who runs it, until when it is theirs, and which claim this is: a worker that lost its lease has an old token.
    worker          TEXT,
    lease_until     BIGINT,
    token           BIGINT NOT NULL DEFAULT 0,
    failed_attempts BIGINT NOT NULL DEFAULT 0,
    lost_leases     BIGINT NOT NULL DEFAULT 0,
    -- 0 to 1
    progress        DOUBLE PRECISION,
    last_error      TEXT
);

CREATE INDEX job_by_state ON job (state, run_at, id);
CREATE UNIQUE INDEX job_by_asset ON job (asset_id, kind);

-- What was made of an asset.
CREATE TABLE derivative (
    asset_id   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    -- The folder of its files; each attempt has its own.
    folder     TEXT NOT NULL,
    bytes      BIGINT NOT NULL,
    -- How it was made, and why so: JSON.
    details    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (asset_id, kind)
);

CREATE TABLE secret (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
