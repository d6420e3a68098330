//! A sale for tests of the read model's decisions.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::catalogue::Catalogue;
use crate::domain::definition::Definition;
use crate::domain::sale::{LedgerStop, SaleControls};
use crate::domain::signup::SignUpCount;
use crate::projection::actions::ActionsInForce;
use crate::projection::read_model::{Clock, ReadModel, Sale, SignedUpBuyers, StandbyQueues};

impl Sale {
    /// A sale with this free stock by index, and a fresh reading of Redis's clock with this
    /// uncertainty in ms.
    pub(crate) fn fixture(definition: &str, free: &[i64], (time, error_ms): (i64, i64)) -> Arc<Self> {
        let definition = Definition::from_json(definition.as_bytes()).expect("a definition");
        let terms = &definition.sale;
        let controls = SaleControls {
            opens: terms.opens_at.as_millisecond(),
            closes: terms.closes_at.as_millisecond(),
            ..SaleControls::default()
        };
        let catalogue = Arc::new(Catalogue::new(definition, 1));
        let items = catalogue.items().iter();
        let totals: Arc<[_]> = items.map(|item| item.limited.then_some(10)).collect();
        let read_model = ReadModel {
            sequence: 1,
            controls,
            actions: ActionsInForce::default(),
            grace_ms: 0,
            free: free.to_vec(),
            stores: ReadModel::store_levels(&catalogue, &totals, free),
            totals,
            counts: [1, 0, 0, 0],
            aside: Vec::new(),
            sign_ups: SignUpCount::default(),
            draw: None,
            allocated: 0,
            confirmed: vec![0; catalogue.counted().len()],
            models_left: false,
            catalogue,
        };
        let (signed_up, standby) = (SignedUpBuyers::default(), StandbyQueues::default());
        let sale = Self::new("fixture", "incarnation", read_model, [], signed_up, standby);
        sale.clock.store(Some(Arc::new(Clock { time, at: Instant::now(), error_ms })));
        Arc::new(sale)
    }

    /// Sets or clears a fault.
    pub(crate) fn set_fault_for_test(&self, is_fault: bool) {
        let why = "a test".to_owned();
        if is_fault { self.set_fault(LedgerStop::Halted, why) } else { self.set_consumer_fault(Some(why)) }
    }

    /// Records a round that found the model complete.
    pub(crate) fn complete_for_test(&self, begun: Instant) {
        self.set_complete_as_of(begun);
    }
}
