//! Starts the real programs that tests, benches and chaos runs use, and talks to them. They end with their owner by default.

#![allow(clippy::unwrap_used, reason = "a panic shows where a test failed")]
#![allow(missing_docs, reason = "this crate is not published; its names are clear")]

pub mod balancer;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod copy;
pub mod definition;
pub mod ending;
pub mod files;
pub mod frames;
pub mod gateway;
pub mod http;
pub mod inside;
pub mod journal;
pub mod keys;
pub mod link;
pub mod metrics;
pub mod options;
pub mod pages;
pub mod postgres;
pub mod program;
pub mod prometheus;
pub mod redis;
pub mod run_folder;
pub mod sentinel;
pub mod terminal;
pub mod tls;
pub mod wait;

pub use ending::{Failed, print_line};
pub use reqwest::{Method, Response};
pub use rustix::process::Signal;
pub use wait::{PATIENCE, block_on, eventually, wait_for};
