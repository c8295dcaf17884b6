-- What becomes of a job's open items at its deadline, and what the server wrote at its end.
ALTER TABLE jobs ADD COLUMN on_deadline TEXT NOT NULL DEFAULT 'wait';
ALTER TABLE jobs ADD COLUMN conclusion TEXT;
CREATE INDEX jobs_open ON jobs (id) WHERE finished_at IS NULL;
CREATE INDEX jobs_given_up ON jobs (deadline_at) WHERE finished_at IS NULL AND on_deadline = 'give_up';
CREATE INDEX jobs_unconcluded ON jobs (kind, id) WHERE finished_at IS NOT NULL AND conclusion IS NULL;

-- What quotes people of a verdict that its caller has still to read.
ALTER TABLE items ADD COLUMN words TEXT;
CREATE INDEX items_with_words ON items (done_at) WHERE words IS NOT NULL;

CREATE INDEX deliveries_by_tenant ON deliveries (tenant, id);
