-- The audit chain. One row a record, in order; `hash` covers `previous` and every other column.
CREATE TABLE records (
    seq BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL
);
-- How long the chain is and how it ends. Its one row is also the lock of all who append.
CREATE TABLE chain_head (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
INSERT INTO chain_head (one, seq, hash) VALUES (1, 0, '\x0000000000000000000000000000000000000000000000000000000000000000');

-- What decisions are found by; the record holds the truth.
CREATE TABLE decisions (
    seq BIGINT PRIMARY KEY REFERENCES records (seq),
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    at BIGINT NOT NULL,
    policy_name TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT,
    label TEXT,
    stage TEXT NOT NULL,
    job_id TEXT,
    item_id TEXT UNIQUE,
    shadow_of TEXT
);
CREATE INDEX decisions_by_policy ON decisions (tenant, policy_name, seq);
CREATE INDEX decisions_by_job ON decisions (job_id, seq);
CREATE INDEX decisions_by_shadow ON decisions (shadow_of);

-- What quotes people: of a decision its content, rationale and reasoning, of a review its reason.
CREATE TABLE sealed (
    record_id TEXT PRIMARY KEY REFERENCES records (id),
    decision_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    salt BYTEA,
    content TEXT,
    words TEXT
);
CREATE INDEX sealed_by_decision ON sealed (decision_id);
CREATE INDEX sealed_by_time ON sealed (at) WHERE salt IS NOT NULL;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    key_id TEXT,
    request_key TEXT,
    kind TEXT NOT NULL,
    priority BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    deadline_at BIGINT,
    deadline_noted_at BIGINT,
    webhook TEXT,
    notify TEXT NOT NULL,
    keep_content BIGINT NOT NULL,
    details TEXT NOT NULL,
    n_items BIGINT NOT NULL,
    n_done BIGINT NOT NULL,
    n_cancelled BIGINT NOT NULL,
    cancelled_at BIGINT,
    finished_at BIGINT,
    UNIQUE (tenant, request_key)
);
CREATE INDEX jobs_by_tenant ON jobs (tenant, id);
CREATE INDEX jobs_by_deadline ON jobs (deadline_at) WHERE finished_at IS NULL AND deadline_noted_at IS NULL;

CREATE TABLE items (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id),
    position BIGINT NOT NULL,
    custom_id TEXT,
    policy_name TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    content TEXT,
    details TEXT NOT NULL,
    priority BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    decision_id TEXT,
    done_at BIGINT,
    UNIQUE (job_id, position)
);
CREATE INDEX items_open ON items (priority DESC, job_id, position) WHERE state IN ('waiting', 'leased');

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id),
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    item_id TEXT,
    decision_id TEXT,
    url TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT,
    last_error TEXT,
    delivered_at BIGINT,
    dead_at BIGINT
);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (tenant, id) WHERE dead_at IS NOT NULL;

CREATE TABLE policy_texts (
    policy_id TEXT PRIMARY KEY,
    bytes BYTEA NOT NULL
);
CREATE TABLE policy_versions (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    policy_id TEXT NOT NULL REFERENCES policy_texts (policy_id),
    added_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, policy_id)
);
CREATE TABLE policies (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    active TEXT,
    shadow TEXT,
    PRIMARY KEY (tenant, name)
);
-- Which version was active when, in the order of the chain.
CREATE TABLE policy_changes (
    seq BIGINT PRIMARY KEY REFERENCES records (seq),
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    change TEXT NOT NULL,
    policy_id TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX policy_changes_by_name ON policy_changes (tenant, name, seq);

CREATE TABLE reviews (
    seq BIGINT PRIMARY KEY REFERENCES records (seq),
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    finding TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX reviews_by_decision ON reviews (decision_id, seq);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BYTEA NOT NULL,
    grants TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
-- What was decided for a key on a day (YYYY-MM-DD, UTC); counted with each decision, for quotas.
CREATE TABLE key_usage (
    key_id TEXT NOT NULL,
    day TEXT NOT NULL,
    n_items BIGINT NOT NULL,
    n_tokens BIGINT NOT NULL,
    PRIMARY KEY (key_id, day)
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant, id);

CREATE TABLE files (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    n_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    complete_at BIGINT
);
CREATE INDEX files_by_tenant ON files (tenant, id);
CREATE TABLE file_chunks (
    file_id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    chunk_idx BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (file_id, chunk_idx)
);
