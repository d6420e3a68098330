//! The options of `gateway doctor`.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::duration::duration;

/// Subjects of the checks besides Redis, this host and the options of `serve`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The sale's id; repeatable, or several separated by commas. Left out: all that are not over
    #[arg(long, env = "LAUNCHGATE_SALE", value_name = "SALE", value_delimiter = ',')]
    pub(crate) sale: Vec<String>,
    /// A sale's definition that will be, or is, applied; repeatable
    #[arg(long, env = "LAUNCHGATE_DEFINITION", value_name = "FILE", value_delimiter = ',')]
    pub(crate) definition: Vec<PathBuf>,
    /// The host name of the API: the certificate of the public listener must be valid for it
    #[arg(long, env = "LAUNCHGATE_HOST", value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The number of live gateways that is required; fewer is a failure
    #[arg(long, env = "LAUNCHGATE_GATEWAYS", value_name = "N")]
    pub(crate) gateways: Option<usize>,
    /// How long the load balancer keeps an idle connection, like 60s: `--idle-timeout-ms` must be longer
    #[arg(long, env = "LAUNCHGATE_BALANCER_IDLE", value_name = "DURATION", value_parser = duration)]
    pub(crate) balancer_idle: Option<Duration>,
    /// The folder of rules and dashboards: every metric in them must be exported by this binary
    #[arg(long, env = "LAUNCHGATE_DASHBOARDS", value_name = "DIR")]
    pub(crate) dashboards: Option<PathBuf>,
    /// The whole report as JSON
    #[arg(long, env = "LAUNCHGATE_JSON")]
    pub(crate) json: bool,
    /// Variables that no command has; the command line finds them.
    #[arg(skip)]
    pub(crate) unknown_variables: Vec<String>,
}
