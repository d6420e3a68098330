//! Lists the metrics with names and labels, and renders them for a scrape.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::status::Status;

/// Every name begins so.
const PREFIX: &str = "launchgate_relay";

/// In the text format of OpenMetrics.
pub(super) fn text(status: &Arc<Status>) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Exposition(status.clone())));
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Exposition(Arc<Status>);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = &self.0;
        let labels = [("sale", &*status.sale), ("reader", &*status.reader)];
        let gauges = [
            (
                "lag_seconds",
                "Age of the oldest change that is not delivered; 0 when there is none.",
                status.lag_ms() as f64 / 1e3,
            ),
            ("lag_changes", "Changes that are not delivered.", status.lag_changes() as f64),
            (
                "parked",
                "Reservations whose webhooks wait for another attempt.",
                status.parked.load(Relaxed) as f64,
            ),
            ("dead_letters", "Webhooks whose last attempt has failed.", status.dead.load(Relaxed) as f64),
            (
                "lease_held",
                "1: this relay delivers; 0: it waits for another one.",
                f64::from(u8::from(status.has_lease.load(Relaxed))),
            ),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        let counters = [
            ("delivered", "Changes that were delivered.", &status.delivered),
            (
                "rescinded",
                "Delivered changes that were taken back, because the ledger lost them.",
                &status.rescinded,
            ),
        ];
        for (name, help, counted) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            count(family.encode_family(&labels)?, counted.load(Relaxed))?;
        }
        let help = "What went wrong, by cause; the relay tries again.";
        let mut failures = encoder.encode_descriptor("failures", help, None, MetricType::Counter)?;
        for (cause, counted) in status.failures() {
            let labels = [("sale", &*status.sale), ("reader", &*status.reader), ("cause", cause.label())];
            count(failures.encode_family(&labels)?, counted)?;
        }
        Ok(())
    }
}

fn count(mut encoder: MetricEncoder<'_>, counted: u64) -> Result<(), Error> {
    encoder.encode_counter::<NoLabelSet, _, u64>(&counted, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::text;
    use crate::status::{Cause, Status};

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = text(&Arc::new(Status::new("small", "orders", "postgres")));
        let labels = r#"{sale="small",reader="orders"}"#;
        let plain = [
            "lag_seconds",
            "lag_changes",
            "parked",
            "dead_letters",
            "lease_held",
            "delivered_total",
            "rescinded_total",
        ];
        for name in plain {
            assert!(text.contains(&format!("launchgate_relay_{name}{labels} 0")), "{name}: {text}");
        }
        for cause in Cause::ALL {
            let cause = cause.label();
            assert!(text.contains(&format!(r#"reader="orders",cause="{cause}"}} 0"#)), "{cause}: {text}");
        }
    }
}
