//! Calls scripts where replicas must have the changes, and where what stops a sale must be done without them.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ServerErrorKind, Value};

use crate::store::keys::Keys;
use crate::store::reply::{list, shape, unreadable};
use crate::store::scripts::{Failure, Script, Scripts, accept, load};

/// A write to the definition without effect. In some versions (Valkey 9, not Redis 7.0) `WAIT`
/// covers only writes of its own connection; after this write it covers earlier writes of others,
/// too.
const MARK: &str =
    "#!lua flags=allow-oom\nif redis.call('EXISTS', KEYS[1]) == 1 then redis.call('APPEND', KEYS[1], '') end";

/// The replica acknowledgements that a script's writes need before its reply counts.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaAcks {
    /// Number of replicas.
    pub replicas: u16,
    /// The time limit; shorter than that of Redis's reply.
    pub wait: Duration,
}

impl Scripts {
    /// Waits for replicas to have all earlier writes of any connection; `false`: they have not in time. Without required
    /// replica acknowledgements it is done at once.
    pub(crate) async fn wait_for_earlier_writes(
        &self,
        conn: &mut impl ConnectionLike,
        keys: &Keys,
    ) -> Result<bool, Failure> {
        let Some(ReplicaAcks { replicas, wait }) = self.replica_acks else { return Ok(true) };
        let mut all = redis::pipe();
        all.cmd("EVAL").arg(MARK).arg(1).arg(keys.definition());
        all.cmd("WAIT").arg(replicas).arg(wait.as_millis());
        let (_, acknowledged): (Value, u16) = all.query_async(conn).await?;
        Ok(acknowledged >= replicas)
    }

    /// Calls a script, and in the same write waits for replicas to have all earlier writes of any
    /// connection. So a retry that finds its change already made waits for that as well.
    pub(super) async fn call_with_replica_acks(
        &self,
        conn: &mut impl ConnectionLike,
        command: Cmd,
        text: &str,
        keys: &Keys,
        ReplicaAcks { replicas, wait }: ReplicaAcks,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = redis::pipe();
        all.add_command(command).cmd("EVAL").arg(MARK).arg(1).arg(keys.definition());
        all.cmd("WAIT").arg(replicas).arg(wait.as_millis());
        let mut answers = conn.req_packed_commands(&all, 0, 3).await?;
        let is_unknown_here = matches!(answers.first(), Some(Value::ServerError(e)) if e.kind() == Some(ServerErrorKind::NoScript));
        if is_unknown_here {
            load(conn, text).await.map_err(Failure::before)?;
            answers = conn.req_packed_commands(&all, 0, 3).await?;
        }
        let (acknowledged, mark, reply) = (answers.pop(), answers.pop(), answers.pop());
        // An error inside the reply is one of Redis itself, as above.
        let reply = accept(list("a script", reply.unwrap_or(Value::Nil).extract_error()?)?)?;
        if let Err(error) = mark.unwrap_or(Value::Nil).extract_error() {
            return Err(Failure::Unknown(format!(
                "it was done, but the replica acknowledgements are unknown: {error}"
            )));
        }
        match acknowledged {
            Some(Value::Int(acknowledged)) if acknowledged >= i64::from(replicas) => Ok(reply),
            Some(Value::Int(acknowledged)) => Err(Failure::NotReplicated { acknowledged, wanted: replicas }),
            other => Err(unreadable("WAIT", "a number", &shape(&other.unwrap_or(Value::Nil))).into()),
        }
    }

    /// Calls a script on a Redis that takes no writes for lack of replicas (`min-replicas-to-write`): lifts that setting
    /// for this one call, in one transaction. So no other write comes in between, and a lost connection leaves nothing
    /// behind. The result is [`Failure::NotReplicated`]: it is done, and only the primary has it.
    pub(crate) async fn call_without_replicas(
        &self,
        conn: &mut impl ConnectionLike,
        script: Script,
        keys: &Keys,
        args: impl redis::ToRedisArgs,
    ) -> Result<Vec<Value>, Failure> {
        const SETTING: &str = "min-replicas-to-write";
        let denied = |error: redis::RedisError| {
            Failure::NotDone(format!(
                "Redis takes no writes for lack of replicas, so nothing is sold until they are back; to stop the sale before: \
                 CONFIG SET {SETTING} 0, then repeat this ({error})"
            ))
        };
        let (_, wanted): (String, u16) =
            redis::cmd("CONFIG").arg("GET").arg(SETTING).query_async(conn).await.map_err(denied)?;
        // Redis queues no script that declares writes while it takes none. One without flags is checked when it writes.
        let (_, text) = &self.texts[script as usize];
        let text = text.split_once('\n').map_or("", |(_flags, body)| body);
        let mut all = redis::pipe();
        all.cmd("MULTI").cmd("CONFIG").arg("SET").arg(SETTING).arg(0);
        all.cmd("EVAL").arg(text).arg(keys.all().len()).arg(keys.all()).arg(args);
        all.cmd("CONFIG").arg("SET").arg(SETTING).arg(wanted).cmd("EXEC");
        let mut executed = Value::Nil;
        for reply in conn.req_packed_commands(&all, 0, 5).await? {
            // Of MULTI, of what could not be queued, or of EXEC: nothing was done.
            if let Value::ServerError(error) = reply {
                return Err(denied(error.into()));
            }
            executed = reply;
        }
        let mut replies = list("EXEC", executed)?.into_iter().map(Value::extract_error);
        let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
        let (lifted, reply, restored) = (next(), next(), next());
        if let Err(error) = restored {
            tracing::error!(%error, "Redis takes writes without replicas now: CONFIG SET {SETTING} {wanted}");
        }
        lifted.map_err(denied)?;
        accept(list("a script", reply?)?)?;
        Err(Failure::NotReplicated { acknowledged: 0, wanted })
    }
}
