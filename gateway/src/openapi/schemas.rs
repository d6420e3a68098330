//! The schemas of the OpenAPI document that no type has: parameters and definitions.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};

use crate::domain::definition::{MODELS_MAX, PACKAGES_MAX, PRICE_MAX, STOCK_MAX, STORES_MAX};
use crate::domain::problem;
use crate::domain::subject::SUB_BYTES_MAX;

/// The schema of a call's parameter.
pub(crate) fn parameter_schema(path: &str, name: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    match name {
        "sale" => text.pattern(Some("^[a-z0-9-]{1,64}$")),
        "id" => text.pattern(Some("^[A-Za-z0-9_-]{32}$")),
        "Idempotency-Key" => text.pattern(Some(r#"^([!#-~][!-~]{0,63}|"[!#-\[\]-~]{1,64}")$"#)),
        "available" => ObjectBuilder::new().schema_type(Type::Boolean),
        "store" => text.pattern(Some("^[A-Za-z0-9._-]{1,64}$")),
        "city" | "province" | "q" => text.max_length(Some(100)),
        "near" => text.pattern(Some(r"^-?[0-9]{1,2}(\.[0-9]{1,9})?,-?[0-9]{1,3}(\.[0-9]{1,9})?$")),
        "cursor" => text.pattern(Some("^[A-Za-z0-9._-]{1,64}$")),
        "from" => text.pattern(Some("^(0-0|[1-9][0-9]{0,18}-0(/[1-9][0-9]{0,8})?~[A-Za-z0-9_-]{8,94})$")),
        "wait" => text.pattern(Some("^([1-5]?[0-9]|60)s$")),
        "limit" => {
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(match path {
                "/admin/v1/limits/log" => 1_000,
                _ if path.ends_with("/stores") => 500,
                _ => 10_000,
            }))
        }
        "frames" => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(86_400)),
        "name" => text.enum_values(Some(problem::ALL.iter().map(|kind| kind.name))),
        "sub" => text.min_length(Some(1)).max_length(Some(SUB_BYTES_MAX)),
        _ => text,
    }
}

fn required(object: ObjectBuilder, properties: &[&str]) -> ObjectBuilder {
    properties.iter().fold(object, |object, property| object.required(*property))
}

/// The schema of a definition. The parser also checks what a schema can't express: unique ids, closing
/// after opening, existing models in packages, bounds of durations.
pub(crate) fn definition_schema() -> Schema {
    let object = || ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let text = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    // A member that may be left out may be null as well.
    let or_null = |of: Type| ObjectBuilder::new().schema_type(SchemaType::from_iter([of, Type::Null]));
    let words = |most: usize| {
        let visible = text(r"^[^\u0000-\u001f\u007f-\u009f]*\S[^\u0000-\u001f\u007f-\u009f]*$");
        visible.min_length(Some(1)).max_length(Some(most))
    };
    let id = || text("^([A-Za-z0-9._]|[A-Za-z0-9._-]{2,64})$");
    let instant = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, not finer than a millisecond, from 1970 on."))
    };
    let until = instant()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Later than `opens_at`. Until then buyers can change what is confirmed; null or left out: they can't."));
    let duration = |schema: ObjectBuilder, about: &str| {
        schema.pattern(Some("^[0-9]+(h|m|s|ms)$")).description(Some(about))
    };
    let number = |schema: ObjectBuilder, most: u64| schema.minimum(Some(0)).maximum(Some(most));
    let price = || {
        let price = ObjectBuilder::new().schema_type(Type::Integer);
        number(price, PRICE_MAX).description(Some("Minor units, written without a fraction."))
    };
    let stock = || number(or_null(Type::Integer), STOCK_MAX).description(Some("null or left out: no limit."));
    let text_or_null = || SchemaType::from_iter([Type::String, Type::Null]);
    let degrees = |most: f64| or_null(Type::Number).minimum(Some(-most)).maximum(Some(most));
    let meta = || {
        let about = "Passed through to apps; at most 4,096 bytes without white space, and 32 levels.";
        or_null(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some(about))
    };
    let times = || or_null(Type::Integer).minimum(Some(1)).maximum(Some(100));
    let list = |of: ObjectBuilder, most: usize| ArrayBuilder::new().items(of).max_items(Some(most));

    let sale = object()
        .property("id", text("^([a-z0-9]|[a-z0-9-]{2,64})$").description(Some("As in the path.")))
        .property("name", words(200))
        .property("opens_at", instant())
        .property("closes_at", instant())
        .property(
            "hold",
            duration(ObjectBuilder::new().schema_type(Type::String), "1s to 24h, such as 15m or 1500ms."),
        )
        .property("grace", duration(or_null(Type::String), "0s to 1h; 60s if left out."))
        .property("per_buyer", times())
        .property("attempts", times().description(Some("At least `per_buyer`.")))
        .property("currency", text("^[A-Z]{3}$"))
        .property("deposit", number(or_null(Type::Integer), PRICE_MAX))
        .property("rehearsal", or_null(Type::Boolean))
        .property("configure_until", until)
        .property("listed", or_null(Type::Boolean).description(Some("false: `GET /v1/sales` leaves it out.")))
        .property("meta", meta());
    let sale = required(sale, &["id", "name", "opens_at", "closes_at", "hold", "currency"]);
    let model = || {
        let model = object().property("id", id()).property("name", words(200));
        let model = model.property("price", price()).property("stock", stock()).property("meta", meta());
        required(model, &["id", "name", "price"])
    };
    let models = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(id())
        .min_items(Some(1))
        .unique_items(true)
        .description(Some("The models that it fits; null or left out: all."));
    let store = object()
        .property("id", id())
        .property("name", words(200))
        .property("city", words(100))
        .property("capacity", stock())
        .property("province", words(100).schema_type(text_or_null()))
        .property("address", words(200).schema_type(text_or_null()))
        .property("lat", degrees(90.0))
        .property("lng", degrees(180.0).description(Some("Both or neither of `lat` and `lng`.")));
    let store = required(store, &["id", "name", "city"]);
    let nullable = |list: ArrayBuilder| list.schema_type(SchemaType::from_iter([Type::Array, Type::Null]));
    let definition = object()
        .description(Some("A sale's definition, as in the TOML file with the stores inline."))
        .property("sale", sale)
        .property("model", list(model(), MODELS_MAX).min_items(Some(1)))
        .property("package", nullable(list(model().property("models", models), PACKAGES_MAX)))
        .property("stores", nullable(list(store, STORES_MAX)));
    Schema::Object(required(definition, &["sale", "model"]).build())
}
