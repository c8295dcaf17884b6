//! Where SQLite speaks otherwise than PostgreSQL.

/// The kind of database, for sqlx.
pub(crate) type Driver = sqlx::Sqlite;

/// The head, kept from others until the end of the transaction: its `BEGIN IMMEDIATE` did that.
pub(crate) const LOCK_HEAD: &str = "SELECT seq, hash FROM chain_head WHERE one = 1";

/// A job, kept from others likewise.
pub(crate) const LOCK_JOB: &str =
    "SELECT tenant, key_id, keep_content, finished_at FROM jobs WHERE id = $1";

/// Hands out items: $1 now, $2 how many, $3 worker, $4 until when.
pub(crate) const LEASE_ITEMS: &str = "UPDATE items \
    SET state = 'leased', worker = $3, lease_until = $4, attempts = attempts + 1 \
    WHERE id IN ( \
        SELECT id FROM items \
        WHERE state IN ('waiting', 'leased') AND (state = 'waiting' OR lease_until <= $1) \
        ORDER BY priority DESC, job_id, position LIMIT $2) \
    RETURNING id, job_id, custom_id, policy_name, policy_id, content, details, attempts, \
        priority, position, lease_until, \
        (SELECT tenant FROM jobs WHERE jobs.id = items.job_id) AS tenant, \
        (SELECT key_id FROM jobs WHERE jobs.id = items.job_id) AS key_id, \
        (SELECT details FROM jobs WHERE jobs.id = items.job_id) AS job_details, \
        (SELECT deadline_at FROM jobs WHERE jobs.id = items.job_id) AS deadline_at, \
        (SELECT on_deadline FROM jobs WHERE jobs.id = items.job_id) AS on_deadline";

/// Hands out, likewise, items of jobs that gave up on them; who had them leased has lost them only when the
/// lease has ended.
pub(crate) const LEASE_OVERDUE: &str = "UPDATE items \
    SET state = 'leased', worker = $3, lease_until = $4, attempts = attempts + 1 \
    WHERE id IN ( \
        SELECT i.id FROM items i JOIN jobs j ON j.id = i.job_id \
        WHERE j.finished_at IS NULL AND j.on_deadline = 'give_up' AND j.deadline_at <= $1 \
          AND i.state IN ('waiting', 'leased') AND (i.state = 'waiting' OR i.lease_until <= $1) \
        ORDER BY j.deadline_at, i.position LIMIT $2) \
    RETURNING id, job_id, custom_id, policy_name, policy_id, content, details, attempts, \
        priority, position, lease_until, \
        (SELECT tenant FROM jobs WHERE jobs.id = items.job_id) AS tenant, \
        (SELECT key_id FROM jobs WHERE jobs.id = items.job_id) AS key_id, \
        (SELECT details FROM jobs WHERE jobs.id = items.job_id) AS job_details, \
        (SELECT deadline_at FROM jobs WHERE jobs.id = items.job_id) AS deadline_at, \
        (SELECT on_deadline FROM jobs WHERE jobs.id = items.job_id) AS on_deadline";

/// Hands out deliveries: $1 now, $2 how many, $3 when they are due again if nothing is heard.
pub(crate) const LEASE_DELIVERIES: &str = "UPDATE deliveries SET next_at = $3 \
    WHERE id IN ( \
        SELECT id FROM deliveries WHERE next_at IS NOT NULL AND next_at <= $1 \
        ORDER BY next_at LIMIT $2) \
    RETURNING id, job_id, tenant, event, item_id, decision_id, url, created_at, attempts, \
        next_at, last_error, delivered_at, dead_at";

/// Jobs whose deadline passed: $1 now, $2 how many. Noted, so that each is seen once.
pub(crate) const NOTE_DEADLINES: &str = "UPDATE jobs SET deadline_noted_at = $1 \
    WHERE id IN ( \
        SELECT id FROM jobs \
        WHERE finished_at IS NULL AND deadline_noted_at IS NULL AND deadline_at <= $1 \
        ORDER BY deadline_at LIMIT $2) \
    RETURNING id, tenant, webhook";
