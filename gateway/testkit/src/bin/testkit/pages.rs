//! Writes the gateway's man pages and shell completions, as packages ship them.

use std::path::PathBuf;

use clap::CommandFactory;
use gateway::cli::Cli;
use testkit::Failed;

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct PagesOptions {
    /// The folder that is `/usr/share` of the package
    share: PathBuf,
}

pub(crate) fn run(options: &PagesOptions) -> Result<u8, Failed> {
    testkit::pages::write(&Cli::command(), &options.share).map_err(Failed::to("write the pages"))?;
    Ok(0)
}
