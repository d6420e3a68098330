//! Integration tests: the real binary and the real scripts against a real redis-server.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "a test binary exports nothing; each test uses a part of the harness"
)]
#![allow(clippy::unwrap_used, reason = "a test may fail this way")]
#![allow(missing_docs, reason = "tests are named for what they show")]

mod acknowledged;
mod archive;
mod batches;
mod browsers;
mod change_of_server;
mod cluster;
mod confirmed_count;
mod connections;
mod consumer;
mod contract_admin;
mod contract_cli;
mod contract_definition;
mod contract_limits;
mod contract_methods;
mod contract_public;
mod contract_reservation;
mod contract_reserve;
mod contract_serve;
mod damage;
mod doctor;
mod door_fleet;
mod door_limits;
mod door_secrets;
mod door_shed;
mod drift;
mod durability;
mod failover;
mod faults;
mod faults_ledger;
mod faults_link;
mod faults_redis;
mod growth;
mod harness;
mod hostile;
mod http2_floods;
mod http2_unread;
mod identity;
mod launch;
mod lifetime;
mod live;
mod marks;
mod metrics;
mod metrics_outside;
mod model;
mod operator_actions;
mod ops_roles;
mod order;
mod permissions;
mod process;
mod proxies;
mod refusals;
mod replaced;
mod replies;
mod request_ids;
mod rolling;
mod self_checks;
mod sentinel;
mod smoke;
mod spike;
mod structure;
mod subjects;
mod time;
mod tls;
mod tokens;
mod versions;
mod wire;
