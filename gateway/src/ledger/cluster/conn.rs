//! A connection that may be to a node of a cluster.

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};

use super::Cluster;

/// A connection that has the map looked at again once its node says that the keys are elsewhere. In a cluster only; at one
/// Redis it is the connection, and nothing else.
#[derive(Clone)]
pub struct Conn<C> {
    pub(in crate::ledger) conn: C,
    pub(in crate::ledger) cluster: Option<Arc<Cluster>>,
}

impl<C: ConnectionLike + Send> ConnectionLike for Conn<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let Some(cluster) = &self.cluster else { return self.conn.req_packed_command(cmd) };
        Box::pin(async {
            let answer = self.conn.req_packed_command(cmd).await;
            match &answer {
                Ok(value) => cluster.note(value),
                Err(error) => cluster.note_error(error),
            }
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let Self { conn, cluster: Some(cluster) } = self else {
            return self.conn.req_packed_commands(pipeline, offset, count);
        };
        Box::pin(async move {
            let answers = conn.req_packed_commands(pipeline, offset, count).await;
            match &answers {
                Ok(values) => values.iter().for_each(|value| cluster.note(value)),
                Err(error) => cluster.note_error(error),
            }
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.conn.get_db()
    }
}

impl Cluster {
    fn note(&self, answer: &Value) {
        if let Value::ServerError(error) = answer
            && error.kind().is_some_and(is_elsewhere)
        {
            self.look_again();
        }
    }

    fn note_error(&self, error: &RedisError) {
        let is_here = matches!(error.kind(), ErrorKind::Server(kind) if !is_elsewhere(kind));
        if !is_here {
            self.look_again();
        }
    }
}

fn is_elsewhere(kind: ServerErrorKind) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, Moved, ReadOnly};
    matches!(kind, Moved | Ask | ClusterDown | ReadOnly)
}
