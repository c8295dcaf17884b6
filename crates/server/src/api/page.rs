//! Requests that a browser would send for any page that its user opens: those without a body of JSON by name.
//! Only pages that the settings know, or that this service shows itself, may send them.

use axum::http::{HeaderMap, header};

use super::app::App;
use crate::error::ApiError;

/// Whether the request is from a program, or from a page that may send it.
///
/// # Errors
/// [`ApiError::Page`].
pub(crate) fn check_page(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| ApiError::Page)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, host)| host);
    let is_own = own.is_some() && own == host;
    let is_known = app.settings.cors.origins.iter().any(|known| known == origin);
    if is_own || is_known { Ok(()) } else { Err(ApiError::Page) }
}
