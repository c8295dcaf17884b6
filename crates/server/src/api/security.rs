//! What every route of the description has in common: it may ask for a key, and may refuse one.

use std::collections::HashSet;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

/// The scheme's name.
const KEY: &str = "key";
/// Routes that nobody is refused.
const OPEN: &str = "service";
/// The tag of routes whose errors have OpenAI's shape.
const OPENAI: &str = "OpenAI";

/// The paths whose refusals have OpenAI's shape.
pub(super) fn openai_paths(description: &OpenApi) -> HashSet<String> {
    let has_shape = |operation: &Operation| has_tag(operation, OPENAI);
    let paths = description.paths.paths.iter();
    paths
        .filter(|(_, item)| operations(item).any(has_shape))
        .map(|(path, _)| path.clone())
        .collect()
}

/// Adds the key and its refusals to all routes that ask for one.
pub(super) fn describe(description: &mut OpenApi) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("From `safeguard key create`; needed once the store has keys."))
        .build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(KEY, SecurityScheme::Http(scheme));
    for item in description.paths.paths.values_mut() {
        for operation in operations_mut(item) {
            let is_numbers = operation.operation_id.as_deref() == Some("metrics");
            if !has_tag(operation, OPEN) || is_numbers {
                ask(operation);
            }
        }
    }
}

fn ask(operation: &mut Operation) {
    let (schema, kind) = match has_tag(operation, OPENAI) {
        true => ("OpenAiError", "application/json"),
        false => ("Problem", "application/problem+json"),
    };
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

fn has_tag(operation: &Operation, tag: &str) -> bool {
    operation.tags.iter().flatten().any(|it| it == tag)
}

fn operations(item: &PathItem) -> impl Iterator<Item = &Operation> {
    let PathItem { get, put, post, delete, .. } = item;
    [get, put, post, delete].into_iter().flatten()
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, .. } = item;
    [get, put, post, delete].into_iter().flatten()
}
