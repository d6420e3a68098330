//! `GET /v1/sales/{sale}/draw`: what is public of a draw, without a token and without Redis.

use hyper::header::IF_NONE_MATCH;
use hyper::http::request::Parts;

use crate::api::sales::weak_tag;
use crate::api::view::DrawView;
use crate::domain::definition::DrawTerms;
use crate::domain::hex;
use crate::domain::problem;
use crate::http::respond::{self, Answer, Refused};
use crate::projection::read_model::{ReadModel, Sale};

/// Answers it.
pub fn get(sale: &Sale, parts: &Parts) -> Result<Answer, Refused> {
    let read_model = sale.read_model();
    let Some(view) = view(&read_model) else {
        return Err(Refused::new(problem::NOT_FOUND, "This sale has no draw."));
    };
    let body = serde_json::to_vec(&view).unwrap_or_default();
    let etag = weak_tag(&[sale.incarnation().as_bytes(), b"draw", &body]);
    Ok(respond::cached(body.into(), &etag, parts.headers.get(IF_NONE_MATCH)))
}

/// The draw as it is now; `None`: the sale has none.
fn view(read_model: &ReadModel) -> Option<DrawView> {
    let DrawTerms { commitment, beacon } = read_model.catalogue.definition.draw.clone()?;
    let draw = read_model.draw.as_ref()?;
    let drawn = draw.drawn.as_ref();
    Some(DrawView {
        stage: read_model.draw_stage()?,
        commitment,
        beacon_rule: beacon,
        root: draw.entrants.map(|entrants| hex::encode(&entrants.root)),
        entrants: draw.entrants.map(|entrants| entrants.count),
        reveal: drawn.map(|drawn| drawn.reveal.clone()),
        beacon: drawn.map(|drawn| drawn.beacon.clone()),
        seed: drawn.map(|drawn| hex::encode(&drawn.seed.0)),
    })
}
