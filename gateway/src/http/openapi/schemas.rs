//! The schemas of the OpenAPI document: of all types that calls take or answer, and of the problems.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::problem::{Kind, Member};
use crate::http::view;
use crate::ledger::audit;
use crate::ops::view as ops;

pub(super) fn problem_name(kind: &Kind) -> String {
    format!("Problem.{}", kind.name)
}

pub(super) fn problem_schema(kind: &Kind) -> Schema {
    let of = |of: Type| ObjectBuilder::new().schema_type(of);
    let mut schema = of(Type::Object)
        .description(Some(kind.explanation))
        .property(
            "type",
            of(Type::String).enum_values(Some([format!("/problems/{}", kind.name)])),
        )
        .property("title", of(Type::String).enum_values(Some([kind.title])))
        .property("status", of(Type::Integer).enum_values(Some([kind.status])))
        .property(
            "detail",
            of(Type::String).description(Some("This occurrence, for a person.")),
        );
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
    add::<view::TimeView>(&mut all);
    add::<view::SaleView>(&mut all);
    add::<view::StorePage>(&mut all);
    add::<view::ReserveRequest>(&mut all);
    add::<view::AmendRequest>(&mut all);
    add::<view::ConfirmRequest>(&mut all);
    add::<view::ReservationView>(&mut all);
    add::<view::ReservationList>(&mut all);
    add::<ops::SaleStates>(&mut all);
    add::<ops::SaleState>(&mut all);
    add::<ops::SaleDetail>(&mut all);
    add::<ops::AppliedView>(&mut all);
    add::<ops::LeverRequest>(&mut all);
    add::<ops::RestockRequest>(&mut all);
    add::<ops::RestockView>(&mut all);
    add::<ops::BuyerView>(&mut all);
    add::<audit::Report>(&mut all);
    all
}
