//! Checks the listeners of all gateways before the load, and collects their versions and durability.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use crate::base::failure::Failure;
use crate::client::Client;
use crate::launch::ask;
use crate::proof::admin::Admin;
use crate::proof::run_record::{Listener, TargetInfo};

/// The part of the OpenAPI document of a public listener that has its version.
#[derive(Deserialize)]
struct Document {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    version: String,
}

/// Checks that every ops listener answers and takes the token. The loss of one during the run is survived; one that is
/// missing from the start is a mistake.
pub(super) async fn check_ops(admin: &Admin) -> Result<(), Failure> {
    for listener in 0..admin.listeners().len() {
        admin.check_listener(listener).await?;
    }
    Ok(())
}

/// Collects what all listeners are; with notes on gateways that differ.
pub(super) async fn collect(client: &Arc<Client>, admin: &Admin) -> (Vec<TargetInfo>, Vec<String>) {
    let fleet = admin.fleet().await.map(|fleet| fleet.gateways).unwrap_or_default();
    let mut durabilities: BTreeSet<&str> = fleet.values().map(|member| &*member.durability).collect();
    let durability = durabilities.pop_first().filter(|_| durabilities.is_empty()).map(str::to_owned);
    let target = |listener, url: &str, version| TargetInfo {
        listener,
        url: url.trim_end_matches('/').to_owned(),
        version,
        durability: durability.clone(),
    };
    let mut targets = Vec::new();
    for gateway in 0..client.gateways() {
        // What stands before a gateway may pass the calls of a sale only.
        let document: Option<Document> = ask::get(client, gateway, "/openapi.json").await.ok();
        let version = document.map(|document| document.info.version);
        targets.push(target(Listener::Public, client.gateway(gateway), version));
    }
    for (listener, url) in admin.listeners().iter().enumerate() {
        targets.push(target(Listener::Ops, url.as_str(), admin.version(listener).await));
    }
    let members = fleet.values().map(|member| (&*member.listen, &*member.version));
    let seen = targets.iter().filter_map(|target| Some((&*target.url, target.version.as_deref()?)));
    let mut notes = Vec::new();
    notes.extend(differing("versions", seen.chain(members)));
    notes.extend(differing(
        "durabilities",
        fleet.values().map(|member| (&*member.listen, &*member.durability)),
    ));
    (targets, notes)
}

/// The note on gateways that do not agree; the report of one that has just started may be empty.
fn differing<'a>(what: &str, of: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let of: Vec<(&str, &str)> = of.filter(|(_, value)| !value.is_empty()).collect();
    let (_, first) = of.first()?;
    let is_same = of.iter().all(|(_, value)| value == first);
    (!is_same).then(|| {
        let each: Vec<String> = of.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("the gateways have different {what}: {}", each.join(", "))
    })
}
