//! Breaks things, and waits until the right alerts reach the right receivers, and no other.

use std::time::Instant;

use serde_json::Value;
use testkit::cli::run as gateway_command;
use testkit::gateway::{client, send};
use testkit::{Failed, block_on, print_line, wait_for};

use super::{Check, SALE, text_of};

impl Check<'_> {
    /// A pause, by its operator's name. The small launch is not sold out.
    pub(super) fn finds_a_pause(&self) -> Result<(), Failed> {
        print_line("--> a pause");
        self.does_not_fire("LaunchgateSalePaused")?;
        let act = |action: &str| {
            let redis = self.redis.url();
            let done = gateway_command(&[
                "sale",
                "--redis",
                &redis,
                action,
                SALE,
                "--confirm",
                SALE,
                "--reason",
                "a check",
            ]);
            if done.code == 0 {
                Ok(())
            } else {
                Err(Failed::Outside(format!("{action} failed: {}", done.err)))
            }
        };
        act("pause")?;
        let paged = self.is_paged("LaunchgateSalePaused")?;
        let why = paged["annotations"]["description"].as_str().unwrap_or_default();
        if !why.contains("a check") {
            return Err(Failed::Wrong(format!("the pager does not say why the sale is paused: {paged}")));
        }
        act("resume")?;
        self.ends("LaunchgateSalePaused")
    }

    pub(super) fn is_silent(&self) -> Result<(), Failed> {
        print_line("--> silence where all is well");
        // The second gateway's certificate is about to end, no buyer taps any more, and this host is not a server.
        let expected =
            "LaunchgateCertificateExpiring|LaunchgateNoTaps|LaunchgateHost.+|LaunchgateDiskFilling";
        let silence =
            format!("absent(ALERTS{{alertstate=\"firing\", severity!=\"none\", alertname!~\"{expected}\"}})");
        wait_for("no other alert fires", || self.prometheus.finds(&silence))?;
        print_line("--> the dead-man's switch, and a link to the runbook");
        let arrives = || self.receivers.last("watchdog", "LaunchgateWatchdog").map(drop);
        wait_for("the dead-man's switch has its message", arrives)?;
        let warned = || self.receivers.last("chat", "LaunchgateCertificateExpiring");
        let alert = wait_for("the chat has the certificate's warning", warned)?;
        let link = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
        let (page, anchor) = link.split_once('#').unwrap_or_default();
        // The page names the files with the paragraphs.
        let index = text_of(page).unwrap_or_default();
        let files = index.split('"').filter(|word| word.ends_with(".md"));
        let mut texts = files.filter_map(|file| text_of(&format!("{page}{file}")));
        let is_heading = |line: &str| line.to_lowercase() == format!("### {anchor}");
        if texts.any(|text| text.lines().any(is_heading)) {
            Ok(())
        } else {
            Err(Failed::Wrong(format!("{link} does not lead to a paragraph of the runbook")))
        }
    }

    pub(super) fn finds_a_drift(&self) -> Result<(), Failed> {
        print_line("--> a drift that is put into Redis by hand");
        self.does_not_fire("LaunchgateLedgerDrift")?;
        let add = |by: &str| {
            let key = format!("lg:{{{SALE}}}:stock");
            self.redis.command::<i64>(&["HINCRBY", &key, "model:air-white", by]);
        };
        add("1");
        self.is_paged("LaunchgateLedgerDrift")?;
        add("-1");
        self.ends("LaunchgateLedgerDrift")
    }

    /// Gateways with `replicas=1` acknowledge nothing without the replica: that alone reaches the pager.
    pub(super) fn finds_a_lost_replica(&mut self) -> Result<(), Failed> {
        print_line("--> a lost replica");
        self.does_not_fire("LaunchgateRedisReplicaLost")?;
        self.replica.kill();
        self.is_paged("LaunchgateRedisReplicaLost")?;
        print_line("--> what follows from it keeps quiet");
        self.fires("LaunchgateNoGatewayReady")?;
        self.is_suppressed("LaunchgateNoGatewayReady")?;
        self.replica.start_again()?;
        self.ends("LaunchgateRedisReplicaLost")
    }

    pub(super) fn finds_a_killed_gateway(&mut self) -> Result<(), Failed> {
        print_line("--> a gateway that is killed, the one behind the public address");
        self.does_not_fire("LaunchgateGatewayGone")?;
        self.first.kill();
        self.is_paged("LaunchgateGatewayGone")?;
        self.is_paged("LaunchgatePublicAddressDown")?;
        let expected = [
            "SalePaused",
            "LedgerDrift",
            "RedisReplicaLost",
            "GatewayGone",
            "PublicAddressDown",
            "NoTaps",
            "DiskFilling",
        ];
        let mut others = self.receivers.names("pager");
        others.retain(|name| !expected.iter().any(|each| name.ends_with(each)));
        if others.is_empty() {
            Ok(())
        } else {
            Err(Failed::Wrong(format!("the pager has other alerts, too: {others:?}")))
        }
    }

    pub(super) fn is_suppressed(&self, alert: &str) -> Result<(), Failed> {
        let is_so = || {
            let found = self.alerts(alert);
            found.iter().any(|alert| alert["status"]["state"] == "suppressed").then_some(())
        };
        wait_for(&format!("{alert} is suppressed"), is_so)
    }

    pub(super) fn ends(&self, alert: &str) -> Result<(), Failed> {
        let gone = format!("absent(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
        wait_for(&format!("{alert} ends"), || self.prometheus.finds(&gone))
    }

    pub(super) fn fires(&self, alert: &str) -> Result<(), Failed> {
        wait_for(&format!("{alert} fires"), || self.prometheus.fires(alert))
    }

    pub(super) fn does_not_fire(&self, alert: &str) -> Result<(), Failed> {
        match self.prometheus.fires(alert) {
            None => Ok(()),
            Some(()) => Err(Failed::Wrong(format!("{alert} fires before anything was broken"))),
        }
    }

    /// Waits until an alert fires, and has reached the pager: as it was delivered.
    pub(super) fn is_paged(&self, alert: &str) -> Result<Value, Failed> {
        let since = Instant::now();
        self.fires(alert)?;
        print_line(&format!("    {alert} fires after {} s", since.elapsed().as_secs()));
        wait_for(&format!("{alert} reaches the pager"), || self.receivers.last("pager", alert))
    }

    pub(super) fn alerts(&self, name: &str) -> Vec<Value> {
        let url = format!("http://{}/api/v2/alerts?filter=alertname={name}", self.alertmanager.address);
        block_on(send(client().get(url))).json.as_array().cloned().unwrap_or_default()
    }
}
