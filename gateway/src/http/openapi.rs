//! The OpenAPI document, made from the types.

/// The document as JSON.
#[must_use]
pub fn document() -> String {
    String::new()
}
