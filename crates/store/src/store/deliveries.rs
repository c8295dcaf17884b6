//! Deliveries to webhooks.

use std::time::Duration;

use super::{Store, page_of, twin};
use crate::delivery::{Backoff, Delivery, DeliveryState};
use crate::error::Result;
use crate::id::DeliveryId;
use crate::time::Millis;

impl Store {
    /// Hands out deliveries that are due; each is due again after `lease` unless something is heard of it.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn lease_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<Delivery>> {
        twin!(self, deliveries::lease(page_of(limit), lease, Millis::now()))
    }

    /// Notes that a webhook has heard.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn delivered(&self, id: &DeliveryId) -> Result<()> {
        twin!(self, deliveries::delivered(id, Millis::now()))
    }

    /// Notes a failed try and returns when the next is due; `None` after the last: the delivery is dead.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn delivery_failed(
        &self,
        id: &DeliveryId,
        error: &str,
        backoff: &Backoff,
    ) -> Result<Option<Millis>> {
        twin!(self, deliveries::failed(id, error, backoff, Millis::now()))
    }

    /// Deliveries of a tenant, newest first, from before the one given; in one state, if one is named.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn deliveries(
        &self,
        tenant: &str,
        state: Option<DeliveryState>,
        before: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        twin!(self, deliveries::page(tenant, state, before, page_of(limit)))
    }

    /// Makes a dead delivery due again, with all its tries.
    ///
    /// # Errors
    /// [`crate::StoreError::Unknown`] without such a dead delivery of this tenant.
    pub async fn retry_delivery(&self, tenant: &str, id: &DeliveryId) -> Result<()> {
        twin!(self, deliveries::retry(tenant, id, Millis::now()))
    }
}
