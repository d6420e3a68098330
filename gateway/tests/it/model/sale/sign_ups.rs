//! Sign-ups of the model.

use std::collections::{BTreeMap, BTreeSet};

use gateway::domain::signup::SignUp;
use gateway::reserve::batch::SignUpDecision;
use gateway::reserve::signup::Withdrawal;

use super::Model;
use crate::model::plan::SignUpRequest;

/// The sign-ups of a sale.
#[derive(Debug, Clone, Default)]
pub struct SignUps {
    by_buyer: BTreeMap<&'static str, SignUp>,
    last: u64,
}

impl Model {
    /// A batch, each in its turn.
    pub fn sign_up(&mut self, requests: &[SignUpRequest]) -> Vec<SignUpDecision> {
        let before = self.sign_ups.clone();
        let decisions: Vec<_> = requests.iter().map(|request| self.decide_sign_up(request)).collect();
        if decisions.contains(&SignUpDecision::Over) {
            self.late();
        }
        // Two requests of one buyer may change the choices and change them back.
        let mut known = before.by_buyer;
        let is_change = |(request, decision): (&SignUpRequest, &SignUpDecision)| match decision {
            SignUpDecision::New(after) | SignUpDecision::Kept(after) => {
                known.insert(request.buyer, after.clone()).as_ref() != Some(after)
            }
            _ => false,
        };
        if requests.iter().zip(&decisions).map(is_change).fold(false, |any, is_one| any | is_one) {
            self.changed();
        }
        decisions
    }

    fn decide_sign_up(&mut self, SignUpRequest { buyer, choices }: &SignUpRequest) -> SignUpDecision {
        let Some(terms) = &self.definition.signup else { return SignUpDecision::None };
        let (now, choices) = (self.now(), choices.clone());
        let before = self.sign_ups.by_buyer.get(buyer).cloned();
        if let Some(before) = before.clone().filter(|before| before.choices == choices) {
            return SignUpDecision::Kept(before);
        }
        if self.closed || now >= terms.closes_at.as_millisecond() {
            return SignUpDecision::Over;
        }
        if now < terms.opens_at.as_millisecond() {
            return SignUpDecision::NotOpen;
        }
        let unknown: BTreeSet<String> = choices
            .iter()
            .flat_map(|choice| self.unknown(&choice.model, &choice.packages, choice.store.as_deref()))
            .collect();
        if !unknown.is_empty() {
            return SignUpDecision::UnknownItem(unknown.into_iter().collect());
        }
        let is_new = before.is_none();
        if is_new {
            self.sign_ups.last += 1;
        }
        let new = || SignUp { number: self.sign_ups.last, at: now, choices: Vec::new() };
        let after = SignUp { choices, ..before.unwrap_or_else(new) };
        self.sign_ups.by_buyer.insert(buyer, after.clone());
        if is_new { SignUpDecision::New(after) } else { SignUpDecision::Kept(after) }
    }

    /// A buyer withdraws.
    pub fn withdraw(&mut self, buyer: &str) -> Withdrawal {
        if !self.sign_ups.by_buyer.contains_key(buyer) {
            return Withdrawal::Done;
        }
        let terms = self.definition.signup.as_ref().unwrap();
        if self.closed || self.now() >= terms.closes_at.as_millisecond() {
            self.late();
            return Withdrawal::Over;
        }
        self.sign_ups.by_buyer.remove(buyer);
        self.changed();
        Withdrawal::Done
    }

    /// What a buyer has signed up for.
    pub fn sign_up_of(&self, buyer: &str) -> Option<SignUp> {
        self.sign_ups.by_buyer.get(buyer).cloned()
    }

    /// How many are signed up; `None`: the sale takes no sign-ups.
    pub fn signed_up(&self) -> Option<u64> {
        self.definition.signup.as_ref().map(|_| self.sign_ups.by_buyer.len() as u64)
    }

    pub(super) fn may_reserve(&self, buyer: &str) -> bool {
        let is_required = self.definition.signup.as_ref().is_some_and(|terms| terms.required);
        !is_required || self.sign_ups.by_buyer.contains_key(buyer)
    }
}
