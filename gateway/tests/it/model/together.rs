//! Two calls at once, at two gateways: what both are told is what one after the other would be told, in either order.

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
        let told = join(one.make(&self.gates[0]), other.make(&self.gates[1])).await;
        self.pairs += 1;
        let mut orders = Vec::new();
        for is_first in [true, false] {
            let mut as_if = self.model.clone();
            let early = is_first.then(|| one.expect(&mut as_if));
            let of_other = other.expect(&mut as_if);
            let expected = (early.unwrap_or_else(|| one.expect(&mut as_if)), of_other);
            if told == expected {
                self.model = as_if;
                return Ok(());
            }
            orders.push(expected);
        }
        fail(op, &told, &orders)
    }
}
