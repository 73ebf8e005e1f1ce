-- Who is told what happens to an account's assets, and what they were told; and of which trace a job is part.

-- As W3C Trace Context writes it; NULL for none.
ALTER TABLE job ADD COLUMN traceparent TEXT;

-- Webhooks that are not disabled: a change that nobody is told of costs nothing.
ALTER TABLE account ADD COLUMN webhooks BIGINT NOT NULL DEFAULT 0;

CREATE TABLE webhook (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    url         TEXT NOT NULL,
    -- The events it is told, each between commas: ',asset.ready,hls.ready,'.
    events      TEXT NOT NULL,
    -- 'whsec_' and base64, what deliveries are signed with.
    secret      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- Since when it is told nothing: its receiver answered 410 Gone.
    disabled_at BIGINT
);

CREATE INDEX webhook_by_account ON webhook (account);

-- The outbox: a row for each webhook that is told, written in the transaction of the change.
CREATE TABLE webhook_delivery (
    -- The receiver sees it as webhook-id, the same with each attempt.
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    webhook_id   TEXT COLLATE "C" NOT NULL,
    -- 'asset.ready' and so on.
    event        TEXT NOT NULL,
    -- The asset's id; of a test, the delivery's own.
    subject      TEXT COLLATE "C" NOT NULL,
    -- The order within a webhook's subject.
    seq          BIGINT NOT NULL,
    -- 'blocked' (an earlier one is not at its end), 'waiting', 'sending', 'delivered', 'dead' (given up)
    state        TEXT COLLATE "C" NOT NULL,
    occurred_at  BIGINT NOT NULL,
    -- Not before; when it is at its end, since when.
    run_at       BIGINT NOT NULL,
    -- Who sends it, until when it is theirs, and which claim this is.
    sender       TEXT COLLATE "C",
    lease_until  BIGINT,
    token        BIGINT NOT NULL DEFAULT 0,
    attempts     BIGINT NOT NULL DEFAULT 0,
    -- Of the last attempt: when, and what came of it: an HTTP status, or why there was none.
    attempted_at BIGINT,
    status       BIGINT,
    error        TEXT
);

CREATE UNIQUE INDEX webhook_delivery_by_subject ON webhook_delivery (webhook_id, subject, seq);
CREATE INDEX webhook_delivery_by_state ON webhook_delivery (state, webhook_id, run_at);
