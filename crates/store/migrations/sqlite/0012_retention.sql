-- When a file goes by its caller's wish.
ALTER TABLE files ADD COLUMN expires_at BIGINT;
-- What finds what is old, and what goes with a job.
CREATE INDEX files_by_time ON files (created_at);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_by_job ON deliveries (job_id);
