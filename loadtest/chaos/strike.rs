//! Injects and ends each fault; `restore` restarts and reconnects what it left.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{Signal, wait_for};

use crate::faults::Fault;
use crate::machine::{clear, drop_packets};
use crate::schedule::Launch;
use crate::stage::{GATEWAYS_FROM, Stage, host};
use crate::{Failure, load};

/// Between two flushes of the scripts.
const FLUSH_EVERY: Duration = Duration::from_millis(30);
/// What links add, each way, in ms: less than gateways wait for an answer, and for one gateway more.
const DELAY_MS: u64 = 120;
const DELAY_LONG_MS: u64 = 900;
/// Percent of the packets that are lost.
const LOSS: u64 = 25;

/// Makes the fault, and ends it after its time.
pub(crate) fn play(stage: &mut Stage, launch: &Launch) -> Result<(), Failure> {
    let lasts = Duration::from_millis(launch.lasts_ms);
    let gateway = launch.target % stage.gateways.len();
    match launch.fault {
        Fault::KillGateway => {
            stage.gateways[gateway].kill();
            sleep(lasts);
        }
        Fault::RestartGateway => stage.gateways[gateway].program.end()?,
        Fault::StopGateway => {
            stage.gateways[gateway].signal(Signal::STOP);
            sleep(lasts);
            stage.gateways[gateway].signal(Signal::CONT);
        }
        Fault::KillPrimary => {
            stage.redises[0].kill();
            sleep(lasts);
        }
        Fault::RestartPrimary => {
            stage.redises[0].program.end()?;
            sleep(lasts);
        }
        Fault::StopPrimary => {
            stage.redises[0].signal(Signal::STOP);
            sleep(lasts);
            stage.redises[0].signal(Signal::CONT);
        }
        Fault::KillReplica => {
            stage.redises[1 + launch.target % 2].kill();
            sleep(lasts);
        }
        Fault::StopReplicas => {
            stage.redises[1..].iter().for_each(|replica| replica.signal(Signal::STOP));
            sleep(lasts);
            stage.redises[1..].iter().for_each(|replica| replica.signal(Signal::CONT));
        }
        Fault::CutGateways => cut(&both_ways(&host(0).to_string(), &GATEWAYS_FROM.to_string()), lasts)?,
        Fault::CutAnswers => cut(&[way(&host(0).to_string(), &GATEWAYS_FROM.to_string())], lasts)?,
        Fault::Loss => {
            let some = format!("numgen random mod 100 < {LOSS}");
            let rules = both_ways(&host(0).to_string(), &GATEWAYS_FROM.to_string());
            cut(&rules.map(|rule| format!("{rule} {some}")), lasts)?;
        }
        Fault::CutPrimary => {
            let rules: Vec<String> =
                (1..3).flat_map(|n| both_ways(&host(0).to_string(), &host(n).to_string())).collect();
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
            let filler = stage.path("redis-1").join("filler");
            fill(&filler)?;
            sleep(lasts);
            fs::remove_file(&filler).map_err(Failure::outside("can't make room on the disk"))?;
        }
        Fault::TailTruncated => {
            stage.redises[0].kill();
            truncate(&stage.path("redis-1").join("appendonlydir"), launch.size)?;
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
pub(crate) fn restore(stage: &mut Stage) -> Result<(), Failure> {
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
pub(crate) fn is_well(stage: &Stage, probe: &load::Probe) -> Result<(), String> {
    (0..stage.gateways.len()).try_for_each(|n| {
        probe.ask(stage.gateways[n].address()).map_err(|problem| format!("gateway {}: {problem}", n + 1))?;
        if stage.is_ready(n) { Ok(()) } else { Err(format!("gateway {} is not ready", n + 1)) }
    })
}

fn way(from: &str, to: &str) -> String {
    format!("ip saddr {from} ip daddr {to}")
}

fn both_ways(one: &str, other: &str) -> [String; 2] {
    [way(one, other), way(other, one)]
}

/// Drops what matches, for a while.
fn cut(rules: &[String], lasts: Duration) -> Result<(), Failure> {
    drop_packets(rules)?;
    sleep(lasts);
    clear();
    Ok(())
}

/// Redis reads it at its next look at the time: what is half written would be another time.
fn set_clock(stage: &Stage, to: &str) -> Result<(), Failure> {
    let new = stage.write("clock-new", to)?;
    fs::rename(new, &stage.clock).map_err(Failure::outside("can't set the clock"))
}

/// Writes until nothing more fits.
fn fill(path: &Path) -> Result<(), Failure> {
    let mut file = fs::File::create(path).map_err(Failure::outside("can't fill the disk"))?;
    let chunk = vec![0; 64 * 1024];
    while file.write_all(&chunk).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    Ok(())
}

/// Cuts bytes off the end of the append-only file.
fn truncate(dir: &Path, bytes: u64) -> Result<(), Failure> {
    let files = fs::read_dir(dir).map_err(Failure::outside("found no append-only file"))?;
    let last: Option<PathBuf> =
        files.flatten().map(|f| f.path()).filter(|f| f.to_string_lossy().ends_with(".incr.aof")).max();
    let last = last.ok_or_else(|| Failure::Outside("found no append-only file".into()))?;
    let file = fs::OpenOptions::new().write(true).open(&last).map_err(Failure::outside("can't open it"))?;
    let len = file.metadata().map_err(Failure::outside("can't see it"))?.len();
    file.set_len(len.saturating_sub(bytes)).map_err(Failure::outside("can't cut it"))
}
