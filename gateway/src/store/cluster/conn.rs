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

    fn note_answer(&self, answer: &Value) {
        if let Value::ServerError(error) = answer {
            error.kind().into_iter().for_each(|kind| self.note_refusal(kind));
        }
    }

    fn note_error(&self, error: &RedisError) {
        match error.kind() {
            ErrorKind::Server(kind) => self.note_refusal(kind),
            _ => self.request_refresh(),
        }
    }

    fn note_refusal(&self, kind: ServerErrorKind) {
        use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly};
        if matches!(kind, Moved | Ask | ClusterDown | ReadOnly) {
            self.request_refresh();
        }
        if matches!(kind, ReadOnly | MasterDown | BusyLoading) {
            self.left.iter().for_each(|left| left.store(true, Relaxed));
        }
    }

    fn request_refresh(&self) {
        self.cluster.iter().for_each(|cluster| cluster.request_refresh());
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
                Ok(value) => self.note_answer(value),
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
                Ok(values) => values.iter().for_each(|value| self.note_answer(value)),
                Err(error) => self.note_error(error),
            }
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.conn.get_db()
    }
}
