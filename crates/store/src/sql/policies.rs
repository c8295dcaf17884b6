//! Versions of policies, and which one acts.

use policy::{Policy, PolicyId, PolicyRef, hex};
use sha2::{Digest, Sha256};

use super::Db;
use super::chain::Chain;
use crate::entry::{Applied, ChangeOf};
use crate::error::{Result, StoreError};
use crate::id::RecordId;
use crate::policies::{Change, ChangeKind, InUse, PolicyChange, PolicyVersion};
use crate::record::POLICY;
use crate::time::Millis;

/// Keeps the bytes of a policy under their hash. It does not act until it is activated.
pub(crate) async fn add(
    db: &Db,
    tenant: &str,
    policy: &Policy,
    bytes: &[u8],
    now: Millis,
) -> Result<()> {
    keep(db, &policy.id, bytes).await?;
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO policy_versions (tenant, name, policy_id, added_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, name, policy_id) DO NOTHING",
    )
    .bind(tenant)
    .bind(&policy.name)
    .bind(&policy.id.0)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Keeps bytes under their hash, as a version of nothing.
pub(crate) async fn keep(db: &Db, id: &PolicyId, bytes: &[u8]) -> Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO policy_texts (policy_id, bytes) VALUES ($1, $2) \
         ON CONFLICT (policy_id) DO NOTHING",
    )
    .bind(&id.0)
    .bind(bytes)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Where in the chain the last change of any policy stands; 0 without one.
pub(crate) async fn last_change(db: &Db) -> Result<i64> {
    let (seq,): (i64,) = sqlx::query_as("SELECT COALESCE(MAX(seq), 0) FROM policy_changes")
        .fetch_one(db.reader())
        .await?;
    Ok(seq)
}

/// The bytes of a version, which must still have its hash.
pub(crate) async fn text(db: &Db, id: &PolicyId) -> Result<Vec<u8>> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("SELECT bytes FROM policy_texts WHERE policy_id = $1")
            .bind(&id.0)
            .fetch_optional(db.reader())
            .await?;
    let (bytes,) = row.ok_or_else(|| StoreError::unknown("policy", id))?;
    if hex(&Sha256::digest(&bytes)) != id.0 {
        return Err(StoreError::Altered { what: "policy", id: id.to_string() });
    }
    Ok(bytes)
}

/// All versions of one name, newest first.
pub(crate) async fn versions(db: &Db, tenant: &str, name: &str) -> Result<Vec<PolicyVersion>> {
    let in_use = in_use(db, tenant, name).await?;
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT policy_id, added_at FROM policy_versions WHERE tenant = $1 AND name = $2 \
         ORDER BY added_at DESC, policy_id",
    )
    .bind(tenant)
    .bind(name)
    .fetch_all(db.reader())
    .await?;
    let versions = rows.into_iter().map(|(id, added_at)| {
        let id = PolicyId(id);
        PolicyVersion {
            is_active: in_use.active.as_ref() == Some(&id),
            is_shadow: in_use.shadow.as_ref() == Some(&id),
            policy: PolicyRef { name: name.to_owned(), id },
            added_at: Millis(added_at),
        }
    });
    Ok(versions.collect())
}

/// The versions in use under one name; none where there is no such policy.
pub(crate) async fn in_use(db: &Db, tenant: &str, name: &str) -> Result<InUse> {
    let row: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("SELECT active, shadow FROM policies WHERE tenant = $1 AND name = $2")
            .bind(tenant)
            .bind(name)
            .fetch_optional(db.reader())
            .await?;
    Ok(used(name, row.unwrap_or_default()))
}

/// Every name of a tenant with the versions in use.
pub(crate) async fn all_in_use(db: &Db, tenant: &str) -> Result<Vec<InUse>> {
    let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT v.name, p.active, p.shadow \
         FROM (SELECT DISTINCT tenant, name FROM policy_versions WHERE tenant = $1) v \
         LEFT JOIN policies p ON p.tenant = v.tenant AND p.name = v.name ORDER BY v.name",
    )
    .bind(tenant)
    .fetch_all(db.reader())
    .await?;
    Ok(rows.into_iter().map(|(name, active, shadow)| used(&name, (active, shadow))).collect())
}

fn used(name: &str, (active, shadow): (Option<String>, Option<String>)) -> InUse {
    InUse { name: name.to_owned(), active: active.map(PolicyId), shadow: shadow.map(PolicyId) }
}

/// Changes which version acts or judges beside, and records it.
pub(crate) async fn change(chain: &mut Chain, of: &ChangeOf) -> Result<Applied> {
    let row: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("SELECT active, shadow FROM policies WHERE tenant = $1 AND name = $2")
            .bind(&of.tenant)
            .bind(&of.name)
            .fetch_optional(&mut *chain.tx)
            .await?;
    let mut now = used(&of.name, row.unwrap_or_default());
    let (kind, id) = match &of.change {
        Change::Activate(id) => (ChangeKind::Activate, Some(id.clone())),
        Change::Shadow(id) => (ChangeKind::Shadow, id.clone()),
        Change::RollBack => (ChangeKind::RollBack, before(chain, of).await?),
        Change::Withdraw => (ChangeKind::Withdraw, None),
    };
    if let Some(id) = &id {
        must_exist(chain, of, id).await?;
    }
    match kind {
        ChangeKind::Shadow => now.shadow.clone_from(&id),
        ChangeKind::Activate | ChangeKind::RollBack => now.active.clone_from(&id),
        ChangeKind::Withdraw if now.active.is_none() && now.shadow.is_none() => {
            return Err(StoreError::unknown("policy in use", &of.name));
        }
        ChangeKind::Withdraw => (now.active, now.shadow) = (None, None),
    }
    sqlx::query(
        "INSERT INTO policies (tenant, name, active, shadow) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, name) DO UPDATE SET active = excluded.active, shadow = excluded.shadow",
    )
    .bind(&of.tenant)
    .bind(&of.name)
    .bind(now.active.as_ref().map(|id| id.0.as_str()))
    .bind(now.shadow.as_ref().map(|id| id.0.as_str()))
    .execute(&mut *chain.tx)
    .await?;
    record(chain, of, kind, id).await?;
    Ok(Applied::Policy(now))
}

async fn must_exist(chain: &mut Chain, of: &ChangeOf, id: &PolicyId) -> Result<()> {
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT policy_id FROM policy_versions \
         WHERE tenant = $1 AND name = $2 AND policy_id = $3",
    )
    .bind(&of.tenant)
    .bind(&of.name)
    .bind(&id.0)
    .fetch_optional(&mut *chain.tx)
    .await?;
    row.map(|_| ()).ok_or_else(|| StoreError::unknown("policy version", id))
}

/// What acted before what acts now: undoes activations and withdrawals one by one, as an editor undoes. `None`
/// where that was nothing, because the policy had been withdrawn.
async fn before(chain: &mut Chain, of: &ChangeOf) -> Result<Option<PolicyId>> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT change, policy_id FROM policy_changes \
         WHERE tenant = $1 AND name = $2 AND change <> 'shadow' ORDER BY seq",
    )
    .bind(&of.tenant)
    .bind(&of.name)
    .fetch_all(&mut *chain.tx)
    .await?;
    let mut acted: Vec<Option<String>> = Vec::new();
    for (change, id) in rows {
        match change.as_str() {
            "roll_back" => drop(acted.pop()),
            _ if acted.last() != Some(&id) => acted.push(id),
            _ => {}
        }
    }
    acted.pop();
    acted.pop().map(|id| id.map(PolicyId)).ok_or_else(|| StoreError::Conflict {
        what: "policy",
        id: of.name.clone(),
        why: "no earlier version has acted",
    })
}

async fn record(
    chain: &mut Chain,
    of: &ChangeOf,
    kind: ChangeKind,
    id: Option<PolicyId>,
) -> Result<()> {
    let change = PolicyChange {
        tenant: of.tenant.clone(),
        name: of.name.clone(),
        change: kind,
        policy_id: id,
        actor: of.actor.clone(),
    };
    let body = serde_json::to_string(&change)?;
    let record_id = RecordId::new(of.at)?;
    let seq = chain.append(record_id.as_str(), POLICY, of.at.0, body).await?;
    sqlx::query(
        "INSERT INTO policy_changes (seq, tenant, name, change, policy_id, at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(seq)
    .bind(&change.tenant)
    .bind(&change.name)
    .bind(kind.word())
    .bind(change.policy_id.as_ref().map(|id| id.0.as_str()))
    .bind(of.at.0)
    .execute(&mut *chain.tx)
    .await?;
    Ok(())
}
