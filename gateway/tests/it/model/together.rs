//! Runs two calls at once at two gateways: both answers are those of one order or the other.

use futures_util::future::join;

use super::Outcome;
use super::life::{Life, fail};
use super::plan::Op;

impl Life<'_> {
    /// One at each gateway.
    pub(super) async fn together(&mut self, op: &Op, each: [&Op; 2]) -> Outcome {
        for at in [0, 1] {
            // It would wait for the new definition for seconds.
            self.refresh_if_outdated(at).await;
        }
        let [Some(one), Some(other)] = each.map(|op| self.call(op)) else { return Ok(()) };
        let answered = join(one.make(&self.instances[0]), other.make(&self.instances[1])).await;
        self.pairs += 1;
        let mut orders = Vec::new();
        for is_first in [true, false] {
            let mut as_if = self.model.clone();
            let early = is_first.then(|| one.expect(&mut as_if));
            let of_other = other.expect(&mut as_if);
            let expected = (early.unwrap_or_else(|| one.expect(&mut as_if)), of_other);
            if answered == expected {
                self.model = as_if;
                return Ok(());
            }
            orders.push(expected);
        }
        fail(op, &answered, &orders)
    }
}
