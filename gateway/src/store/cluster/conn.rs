//! A connection to a Redis that may be a node of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};

use crate::store::cluster::Cluster;

/// A connection that refreshes the slot map after a redirection, and marks its pool as left when
/// its server is not the primary. Without either it is the plain connection.
#[derive(Clone)]
pub struct ClusterAwareConnection<C> {
    pub(crate) conn: C,
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// Set once the server refuses because it is a replica, or does not serve its data.
    pub(crate) left: Option<Arc<AtomicBool>>,
}

impl<C> ClusterAwareConnection<C> {
    fn is_plain(&self) -> bool {
        self.cluster.is_none() && self.left.is_none()
    }

    fn note(&self, answer: &Value) {
        if let Value::ServerError(error) = answer
            && let Some(kind) = error.kind()
        {
            if is_elsewhere(kind) {
                self.look_again();
            }
            self.leave_if_wrong(kind);
        }
    }

    fn note_error(&self, error: &RedisError) {
        match error.kind() {
            ErrorKind::Server(kind) => {
                if is_elsewhere(kind) {
                    self.look_again();
                }
                self.leave_if_wrong(kind);
            }
            _ => self.look_again(),
        }
    }

    fn look_again(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.look_again();
        }
    }

    fn leave_if_wrong(&self, kind: ServerErrorKind) {
        use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
        if let Some(left) = &self.left
            && matches!(kind, ReadOnly | MasterDown | BusyLoading)
        {
            left.store(true, Relaxed);
        }
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for ClusterAwareConnection<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if self.is_plain() {
            return self.conn.req_packed_command(cmd);
        }
        Box::pin(async {
            let answer = self.conn.req_packed_command(cmd).await;
            match &answer {
                Ok(value) => self.note(value),
                Err(error) => self.note_error(error),
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
        if self.is_plain() {
            return self.conn.req_packed_commands(pipeline, offset, count);
        }
        Box::pin(async move {
            let answers = self.conn.req_packed_commands(pipeline, offset, count).await;
            match &answers {
                Ok(values) => values.iter().for_each(|value| self.note(value)),
                Err(error) => self.note_error(error),
            }
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.conn.get_db()
    }
}

fn is_elsewhere(kind: ServerErrorKind) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, Moved, ReadOnly};
    matches!(kind, Moved | Ask | ClusterDown | ReadOnly)
}
