-- What of an account's upload rates is whose: a node's for as long as its lease is, or nobody's.
CREATE TABLE rate_share (
    account     TEXT NOT NULL,
    -- '' for nobody's.
    node        TEXT NOT NULL,
    -- Of a million.
    parts       BIGINT NOT NULL,
    -- Until when what was used takes the rate up, or may before the lease is renewed; microseconds since the epoch.
    busy_minute BIGINT NOT NULL,
    busy_day    BIGINT NOT NULL,
    -- Microseconds since the epoch; 0 where there is none.
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (account, node)
);
