//! What every route of the description has in common: it may ask for a key, and may refuse one.

use axum::http::Method;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

use super::shape::Shape;
use crate::door::Scope;

/// The scheme's name.
const KEY: &str = "key";

/// Adds the key and its refusals to all routes that ask for one.
pub(super) fn describe(description: &mut OpenApi) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("From `safeguard key create`; needed once the store has keys."))
        .build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(KEY, SecurityScheme::Http(scheme));
    for (path, item) in &mut description.paths.paths {
        let shape = Shape::of(path, item);
        for (method, operation) in operations(item) {
            if !Scope::needed(&method, path).is_empty() {
                ask(operation, shape);
            }
        }
    }
}

fn ask(operation: &mut Operation, shape: Shape) {
    let (schema, kind) = shape.schema();
    for (status, about) in [
        ("401", "No key, or none of this service"),
        ("403", "The key may not do this"),
        ("429", "The key's rate or quota is used up, or too much waits"),
    ] {
        let response = || RefOr::T(refused(about, schema, kind));
        operation.responses.responses.entry(status.to_owned()).or_insert_with(response);
    }
    // An empty requirement: without keys in the store everybody may.
    let either = [SecurityRequirement::default(), SecurityRequirement::new(KEY, [""; 0])];
    operation.security = Some(either.into());
}

fn refused(about: &str, schema: &str, kind: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(about).content(kind, content).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = item;
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE];
    let operations = [get.as_mut(), put.as_mut(), post.as_mut(), delete.as_mut()];
    methods.into_iter().zip(operations).filter_map(|(method, it)| it.map(|it| (method, it)))
}
