//! The schemas of the OpenAPI document: of all types that calls take or answer, and of the problems.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::http::problem::{Kind, Member};
use crate::http::view;
use crate::ledger::audit;
use crate::ops::{brake, view as ops};

/// What a parameter of a call can be.
pub(super) fn parameter_schema(path: &str, name: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    match name {
        "sale" => text.pattern(Some("^[a-z0-9-]{1,64}$")),
        "id" => text.pattern(Some("^[A-Za-z0-9_-]{32}$")),
        "Idempotency-Key" => text.pattern(Some(r#"^([!#-~][!-~]{0,63}|"[!#-\[\]-~]{1,64}")$"#)),
        "available" => text.enum_values(Some(["true", "false"])),
        "cursor" => text.pattern(Some("^[A-Za-z0-9._-]{1,64}$")),
        "from" => text.pattern(Some("^[0-9]{1,15}-0(/[0-9]{1,9})?$")),
        "limit" => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(if path.ends_with("/stores") { 500 } else { 10_000 })),
        _ => text.min_length(Some(1)),
    }
}

/// The packages of a request.
pub(crate) fn packages_schema() -> Schema {
    let list = ArrayBuilder::new()
        .items(Ref::from_schema_name("ItemId"))
        .max_items(Some(16))
        .unique_items(true)
        .description(Some("At most 16 packages, none twice."));
    Schema::Array(list.build())
}

pub(super) fn problem_name(kind: &Kind) -> String {
    format!("Problem.{}", kind.name)
}

pub(super) fn problem_schema(kind: &Kind) -> Schema {
    let of = |of: Type| ObjectBuilder::new().schema_type(of);
    let mut schema = of(Type::Object)
        .description(Some(kind.explanation))
        .property("type", of(Type::String).enum_values(Some([format!("/problems/{}", kind.name)])))
        .property("title", of(Type::String).enum_values(Some([kind.title])))
        .property("status", of(Type::Integer).enum_values(Some([kind.status])))
        .property("detail", of(Type::String).description(Some("This occurrence, for a person.")));
    for required in ["type", "title", "status", "detail"] {
        schema = schema.required(required);
    }
    for (name, member) in kind.members {
        let field = name.trim_end_matches('?');
        schema = match member {
            Member::Text => schema.property(field, of(Type::String)),
            Member::Number => schema.property(field, of(Type::Integer)),
            Member::Flag => schema.property(field, of(Type::Boolean)),
            Member::Texts => schema.property(field, ArrayBuilder::new().items(of(Type::String))),
            Member::Objects => schema.property(field, ArrayBuilder::new().items(of(Type::Object))),
        };
        if !name.ends_with('?') {
            schema = schema.required(field);
        }
    }
    Schema::Object(schema.build())
}

/// The definition's own reader knows more rules than a schema can say; this is its shape.
pub(super) fn definition_schema() -> Schema {
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let list = || ArrayBuilder::new().items(object());
    let definition = object()
        .description(Some("A sale's definition, as in the TOML file with the stores inline: `stores` has objects of id, name, city and capacity."))
        .property("sale", object())
        .property("model", list())
        .property("package", list())
        .property("stores", list())
        .required("sale")
        .required("model");
    Schema::Object(definition.build())
}

/// The schemas of all types that calls take or answer, and of the types inside them.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(all);
        all.push((T::name().into_owned(), T::schema()));
    }
    let mut all = Vec::new();
    add::<view::ItemId<'_>>(&mut all);
    add::<view::TimeView>(&mut all);
    add::<view::SaleView>(&mut all);
    add::<view::StorePage>(&mut all);
    add::<view::ReserveRequest<'_>>(&mut all);
    add::<view::AmendRequest<'_>>(&mut all);
    add::<view::ConfirmRequest>(&mut all);
    add::<view::ReservationView<'_>>(&mut all);
    add::<view::ReservationList<'_>>(&mut all);
    add::<ops::SaleStates>(&mut all);
    add::<ops::SaleState>(&mut all);
    add::<ops::SaleDetail>(&mut all);
    add::<ops::AppliedView>(&mut all);
    add::<ops::LeverRequest>(&mut all);
    add::<ops::RestockRequest>(&mut all);
    add::<ops::RestockView>(&mut all);
    add::<ops::BuyerView<'_>>(&mut all);
    add::<audit::Report>(&mut all);
    add::<brake::LimitsRequest>(&mut all);
    add::<brake::LimitsView>(&mut all);
    add::<brake::FleetView>(&mut all);
    all
}
