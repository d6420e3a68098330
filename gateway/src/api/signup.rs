//! Handlers of the sign-up calls: a buyer registers before the opening, with up to three choices.

use std::time::Instant;

use hyper::body::Incoming;
use hyper::http::request::Parts;

use crate::api::bodies::{ChoiceRequest, ItemId, SignupRequest};
use crate::api::decisions;
use crate::api::reservations::{Caller, check_packages};
use crate::api::view::BuyerSignupView;
use crate::domain::choice::Choice;
use crate::domain::definition::SignupTerms;
use crate::domain::problem;
use crate::domain::rfc3339::rfc3339;
use crate::domain::signup::CHOICES_MAX;
use crate::http::request::{json_bytes, parse};
use crate::http::respond::{Answer, Refused, created, no_content, ok};
use crate::projection::read_model::Sale;
use crate::reserve::batch::{SignUpCommand, SignUpDecision};
use crate::reserve::signup::{self, Withdrawal};

/// `PUT /v1/sales/{sale}/signup`
pub async fn put(caller: &Caller<'_>, sale: &str, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let body = json_bytes(parts, body, worker.body_limits()).await?;
    let received = Instant::now();
    let choices = signup_request(&body)?;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().change)?;
    let SignupTerms { opens_at, closes_at, .. } = terms(&sale)?;
    let _permit = worker.acquire_permit(true)?;
    let command = SignUpCommand::new(&sale.id, caller.identity.sub(), choices);
    let place = sale.drawn_place(caller.identity.sub());
    let deadlines = worker.deadlines(received, Instant::now());
    match worker.sign_ups(&sale).ask(command, deadlines).await {
        SignUpDecision::New(sign_up) => Ok(created(&BuyerSignupView::new(&sign_up, closes_at, place, None))),
        SignUpDecision::Kept(sign_up) => Ok(ok(&BuyerSignupView::new(&sign_up, closes_at, place, None))),
        SignUpDecision::NotOpen => {
            let [opens_at, closes_at] = [opens_at, closes_at].map(|at| rfc3339(at.as_millisecond()));
            Err(Refused::new(problem::SIGNUP_NOT_OPEN, format!("Sign-up opens at {opens_at}."))
                .with("opens_at", opens_at)
                .with("closes_at", closes_at))
        }
        SignUpDecision::Over => Err(over()),
        SignUpDecision::UnknownItem(items) => Err(decisions::unknown_item(&items)),
        SignUpDecision::None => Err(no_sign_ups()),
        SignUpDecision::NotTaken(why) => Err(Refused::not_taken(why)),
        SignUpDecision::Unknown => Err(Refused::unknown()),
    }
}

/// `GET /v1/sales/{sale}/signup`
pub async fn get(caller: &Caller<'_>, sale: &str) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().read)?;
    let SignupTerms { closes_at, .. } = terms(&sale)?;
    let _permit = worker.acquire_permit(false)?;
    match signup::read(&worker.redis_connection(&sale), &sale, caller.identity.sub()).await {
        Ok(Some((sign_up, reservation))) => {
            let place = sale.drawn_place(caller.identity.sub());
            Ok(ok(&BuyerSignupView::new(&sign_up, closes_at, place, reservation)))
        }
        Ok(None) => Err(Refused::new(problem::SIGNUP_NOT_FOUND, "This buyer has not signed up.")),
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a sign-up could not be read");
            Err(Refused::not_taken(failure.shed()))
        }
    }
}

/// `DELETE /v1/sales/{sale}/signup`
pub async fn withdraw(caller: &Caller<'_>, sale: &str) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().change)?;
    terms(&sale)?;
    let _permit = worker.acquire_permit(false)?;
    match signup::withdraw(&worker.redis_connection(&sale), &sale, caller.identity.sub()).await {
        Withdrawal::Done => Ok(no_content()),
        Withdrawal::Over => Err(over()),
        Withdrawal::NotTaken(why) => Err(Refused::not_taken(why)),
        Withdrawal::Unknown => Err(Refused::unknown()),
    }
}

/// Parses and checks the body of a sign-up.
pub(crate) fn signup_request(body: &[u8]) -> Result<Vec<Choice>, Refused> {
    let SignupRequest { choices } = parse(body)?;
    if !(1..=CHOICES_MAX).contains(&choices.len()) {
        return Err(Refused::invalid("/choices", format!("A sign-up has 1 to {CHOICES_MAX} choices.")));
    }
    choices.into_iter().enumerate().map(|(n, request)| choice(request, &format!("/choices/{n}"))).collect()
}

/// A checked choice; `place` is its JSON pointer.
pub(crate) fn choice(request: ChoiceRequest<'_>, place: &str) -> Result<Choice, Refused> {
    let ChoiceRequest { model, packages, store } = request;
    check_packages(&packages, &format!("{place}/packages"))?;
    let owned = |id: ItemId<'_>| id.0.into_owned();
    let mut packages: Vec<String> = packages.into_iter().map(owned).collect();
    packages.sort_unstable();
    Ok(Choice { model: owned(model), packages, store: store.map(owned) })
}

/// The terms of sign-up; 404 if the sale takes none.
fn terms(sale: &Sale) -> Result<SignupTerms, Refused> {
    sale.read_model().catalogue.definition.signup.clone().ok_or_else(no_sign_ups)
}

fn over() -> Refused {
    Refused::new(problem::SIGNUP_CLOSED, "Sign-up has closed; what was signed up stays as it is.")
}

fn no_sign_ups() -> Refused {
    Refused::new(problem::NOT_FOUND, "This sale takes no sign-ups.")
}
