//! Holds a running gateway against its own OpenAPI document, with schemathesis: as a buyer, as a service, as ops.

use std::path::Path;
use std::process::Command;

use testkit::cli::{Ended, run as gateway_command, try_end};
use testkit::definition::apply_file;
use testkit::gateway::{Gateway, GatewaySetup};
use testkit::redis::Redis;
use testkit::{Failed, block_on, print_line};

use crate::Common;

pub(crate) fn run(common: &Common) -> Result<(), Failed> {
    let redis = Redis::start();
    let gateway = serve_small(&redis, &common.dir)?;
    for api in ["apps", "ops"] {
        let document = gateway_command(&["openapi", "--api", api]);
        std::fs::write(common.dir.join(format!("{api}.json")), document.out)
            .map_err(Failed::to("write the document"))?;
    }

    as_caller(common, &gateway, "buyer", "apps", &gateway.url, &gateway.token("alice"))?;
    as_caller(common, &gateway, "service", "apps", &gateway.url, &gateway.service_token())?;
    // The last: it closes the sale, too.
    as_caller(common, &gateway, "ops", "ops", &gateway.ops_url, &gateway.token("alice"))?;

    let audit = gateway_command(&["audit", "--redis", &redis.url(), "small"]);
    print_line(audit.out.lines().last().unwrap_or_default());
    if audit.code == 0 {
        Ok(())
    } else {
        Err(Failed::Wrong(format!("{}\nthe ledger does not balance afterwards", audit.out)))
    }
}

/// A gateway without limits, and the small sale open.
pub(crate) fn serve_small(redis: &Redis, dir: &Path) -> Result<Gateway, Failed> {
    let log = dir.join("gateway.log");
    let limits = ["--limit-buyer", "off", "--limit-address", "off", "--limit-unverified", "off"];
    let setup = GatewaySetup {
        redis: &redis.url(),
        options: &[&limits[..], &["--drain-delay-ms", "0"]].concat(),
        log: Some(&log),
        is_as_shipped: true,
        ..GatewaySetup::default()
    };
    let gateway = setup.start()?;
    block_on(gateway.ready());
    apply_file("gateway/examples/small/sale.toml".as_ref(), &redis.url())?;
    block_on(testkit::definition::known(&gateway, "small"));
    Ok(gateway)
}

/// One caller's calls. What schemathesis writes stays out of the repository.
fn as_caller(
    common: &Common,
    gateway: &Gateway,
    caller: &str,
    api: &str,
    url: &str,
    token: &str,
) -> Result<(), Failed> {
    print_line(&format!("--> as {caller}"));
    let folder = std::env::current_dir().map_err(Failed::to("find this folder"))?.join("gateway/tests/api");
    let mut command = Command::new(common.venv.join("bin/schemathesis"));
    command.current_dir(&common.dir);
    command.arg("--config-file").arg(folder.join("schemathesis.toml"));
    command.args(["run", &format!("{api}.json"), "--url", url, "--no-color"]);
    command
        .env("CHECK_API_TOKEN", token)
        .env("CHECK_API_OPS_TOKEN", gateway.ops_token())
        .env("NO_PROXY", "*");
    let Ended { code, out, err } = try_end(command)?;
    if code != 0 {
        let log = std::fs::read_to_string(common.dir.join("gateway.log")).unwrap_or_default();
        return Err(Failed::Wrong(format!(
            "{out}{err}\n{log}\nthe gateway and its document differ, see above"
        )));
    }
    out.lines().filter(|line| line.trim_end().contains(" generated")).for_each(print_line);
    Ok(())
}
