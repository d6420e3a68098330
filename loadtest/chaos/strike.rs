//! Injects and ends each fault; `restore` restarts and reconnects what it left.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::program::Program;
use testkit::{Failed, Signal, block_on, wait_for};

use crate::faults::Fault;
use crate::load::probe;
use crate::machine::{clear, drop_packets};
use crate::schedule::Launch;
use crate::stage::{GATEWAYS_FROM, Stage, host};

/// Between two flushes of the scripts.
const FLUSH_EVERY: Duration = Duration::from_millis(30);
/// What links add, each way, in ms: less than gateways wait for an answer, and for one gateway more.
const DELAY_MS: u64 = 120;
const DELAY_LONG_MS: u64 = 900;
/// Percent of the packets that are lost.
const LOSS: u64 = 25;

/// Makes the fault, and ends it after its time.
pub(crate) fn play(stage: &mut Stage, launch: &Launch) -> Result<(), Failed> {
    let lasts = Duration::from_millis(launch.lasts_ms);
    let gateway = launch.target % stage.gateways.len();
    match launch.fault {
        Fault::KillGateway => {
            stage.gateways[gateway].kill();
            sleep(lasts);
        }
        Fault::RestartGateway => stage.gateways[gateway].program.end()?,
        Fault::StopGateway => stop(&[&stage.gateways[gateway].program], lasts),
        Fault::KillPrimary => {
            stage.redises[0].kill();
            sleep(lasts);
        }
        Fault::RestartPrimary => {
            stage.redises[0].program.end()?;
            sleep(lasts);
        }
        Fault::StopPrimary => stop(&[&stage.redises[0].program], lasts),
        Fault::KillReplica => {
            stage.redises[1 + launch.target % 2].kill();
            sleep(lasts);
        }
        Fault::StopReplicas => stop(&[&stage.redises[1].program, &stage.redises[2].program], lasts),
        Fault::CutGateways => cut(&both_ways(host(0), GATEWAYS_FROM), lasts)?,
        Fault::CutAnswers => cut(&[way(host(0), GATEWAYS_FROM)], lasts)?,
        Fault::Loss => {
            let some = |rule| format!("{rule} numgen random mod 100 < {LOSS}");
            cut(&both_ways(host(0), GATEWAYS_FROM).map(some), lasts)?;
        }
        Fault::CutPrimary => {
            let rules: Vec<String> = (1..3).flat_map(|n| both_ways(host(0), host(n))).collect();
            drop_packets(&rules)?;
            // The others need some seconds to replace it; then both are there for a while.
            let replaced = wait_for("the others replace it", || (stage.primary() != 0).then_some(()));
            sleep(lasts);
            clear();
            replaced?;
        }
        Fault::Delay => {
            for (n, link) in stage.links.iter().enumerate() {
                link.delay(Duration::from_millis(if n == gateway { DELAY_LONG_MS } else { DELAY_MS }));
            }
            sleep(lasts);
            stage.links.iter().for_each(|link| link.delay(Duration::ZERO));
        }
        // A clock that was set stays so.
        Fault::ClockForward => set_clock(stage, "+3600s")?,
        Fault::ClockBack => set_clock(stage, "-3600s")?,
        Fault::DiskFull => {
            let filler = stage.folder.path("redis-1").join("filler");
            fill(&filler)?;
            sleep(lasts);
            fs::remove_file(&filler).map_err(Failed::to("make room on the disk"))?;
        }
        Fault::TailTruncated => {
            stage.redises[0].kill();
            truncate(&stage.folder.path("redis-1").join("appendonlydir"), launch.size)?;
            sleep(lasts);
        }
        Fault::Rewrite => stage.redises[0].send_command("BGREWRITEAOF")?,
        Fault::Maxmemory => {
            stage.redises[0].send_command("CONFIG SET maxmemory 1")?;
            sleep(lasts);
            stage.redises[0].send_command("CONFIG SET maxmemory 0")?;
        }
        Fault::ScriptFlush => {
            let began = Instant::now();
            while began.elapsed() < lasts {
                stage.redises[0].send_command("SCRIPT FLUSH SYNC")?;
                sleep(FLUSH_EVERY);
            }
        }
        Fault::FailoverByHand => {
            wait_for("the sentinels take it on", || {
                let answer = stage.sentinels[launch.target % 3].ask("FAILOVER ledger")?;
                answer.starts_with("+OK").then_some(())
            })?;
            wait_for("another is the primary", || (stage.primary() != 0).then_some(()))?;
        }
        Fault::FailoverByVote => {
            stage.redises[0].kill();
            wait_for("another is the primary", || (stage.primary() != 0).then_some(()))?;
            sleep(lasts);
        }
    }
    Ok(())
}

/// Starts whatever is not running.
pub(crate) fn restore(stage: &mut Stage) -> Result<(), Failed> {
    for redis in &mut stage.redises {
        if !redis.program.is_alive() {
            redis.start_again()?;
        }
    }
    for sentinel in &mut stage.sentinels {
        if !sentinel.program.is_alive() {
            sentinel.program.start_at(sentinel.address)?;
        }
    }
    for gateway in &mut stage.gateways {
        if !gateway.program.is_alive() {
            gateway.start_again()?;
        }
    }
    Ok(())
}

/// Whether every gateway is ready and answers a buyer; otherwise the problem of one.
pub(crate) fn is_well(stage: &Stage) -> Result<(), String> {
    stage.gateways.iter().zip(1..).try_for_each(|(gateway, n)| {
        probe(gateway).map_err(|problem| format!("gateway {n}: {problem}"))?;
        if block_on(gateway.is_ready()) { Ok(()) } else { Err(format!("gateway {n} is not ready")) }
    })
}

/// SIGSTOP, and SIGCONT after a while.
fn stop(programs: &[&Program], lasts: Duration) {
    programs.iter().for_each(|program| program.signal(Signal::STOP));
    sleep(lasts);
    programs.iter().for_each(|program| program.signal(Signal::CONT));
}

fn way(from: IpAddr, to: IpAddr) -> String {
    format!("ip saddr {from} ip daddr {to}")
}

fn both_ways(one: IpAddr, other: IpAddr) -> [String; 2] {
    [way(one, other), way(other, one)]
}

/// Drops what matches, for a while.
fn cut(rules: &[String], lasts: Duration) -> Result<(), Failed> {
    drop_packets(rules)?;
    sleep(lasts);
    clear();
    Ok(())
}

/// Redis reads it whenever it reads its clock: what is half written would be another time.
fn set_clock(stage: &Stage, to: &str) -> Result<(), Failed> {
    let new = stage.folder.write("clock-new", to)?;
    fs::rename(new, stage.clock()).map_err(Failed::to("set the clock"))
}

/// Writes until nothing more fits.
fn fill(path: &Path) -> Result<(), Failed> {
    let mut file = fs::File::create(path).map_err(Failed::to("fill the disk"))?;
    let chunk = vec![0; 64 * 1024];
    while file.write_all(&chunk).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    Ok(())
}

/// Cuts bytes off the end of the append-only file.
fn truncate(dir: &Path, bytes: u64) -> Result<(), Failed> {
    let files = fs::read_dir(dir).map_err(Failed::to("find the append-only file"))?;
    let last: Option<PathBuf> =
        files.flatten().map(|f| f.path()).filter(|f| f.to_string_lossy().ends_with(".incr.aof")).max();
    let last = last.ok_or_else(|| Failed::Outside("found no append-only file".into()))?;
    let file = fs::OpenOptions::new().write(true).open(&last).map_err(Failed::to("open it"))?;
    let len = file.metadata().map_err(Failed::to("see it"))?.len();
    file.set_len(len.saturating_sub(bytes)).map_err(Failed::to("cut it"))
}
