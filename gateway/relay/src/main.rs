//! Starts the program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    relay::run().await
}
