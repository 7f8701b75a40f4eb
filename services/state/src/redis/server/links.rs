//! One connection to each master, and which shard is where.

use ::redis::{RedisResult, Value, aio::MultiplexedConnection};
use futures::future::try_join_all;
use holdfast_config::RedisNode;
use holdfast_storage::Failure;

use super::{
    info::{self, Unfit},
    request::Request,
    topology::Masters,
};
use crate::{domain::ShardId, place::Identity};

/// The connections of one moment.
#[derive(Debug)]
pub(super) struct Links {
    masters: Masters,
    /// As in `masters`.
    connections: Vec<MultiplexedConnection>,
    identity: Identity,
}

impl Links {
    /// Takes fresh connections into use, once each has said who it is.
    pub(super) async fn new(masters: Masters, connections: Vec<MultiplexedConnection>) -> Result<Self, Unfit> {
        let lives = masters.nodes.iter().zip(&connections).map(async |(at, connection): (&RedisNode, _)| {
            let mut connection: MultiplexedConnection = Clone::clone(connection);
            info::life(at, &mut connection).await
        });
        let mut lives = try_join_all(lives).await?;
        // The order in which a Cluster names its masters says nothing.
        lives.sort_unstable();
        Ok(Self { masters, connections, identity: Identity(lives.join(",")) })
    }

    /// The same connections, with what they say now.
    pub(super) async fn ask_again(&self) -> Result<Self, Failure> {
        Ok(Self::new(self.masters.clone(), self.connections.clone()).await?)
    }

    pub(super) fn masters(&self) -> &Masters {
        &self.masters
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Runs a script where a shard is, or where it is just being moved to.
    pub(super) async fn run(&self, shard: ShardId, request: &Request<'_>) -> RedisResult<Value> {
        let mut connection = self.connections[self.masters.of(shard)].clone();
        let answer = match connection.send_packed_command(&request.by_hash()).await.and_then(Value::extract_error) {
            Err(error) if is(&error, "NOSCRIPT") => {
                connection.send_packed_command(&request.by_text()).await.and_then(Value::extract_error)
            }
            answer => answer,
        };
        match answer {
            Err(error) if is(&error, "ASK") => self.follow(error, request).await,
            answer => answer,
        }
    }

    /// A slot is being moved: what is not where it was is asked for where it goes, if that is one of these masters.
    async fn follow(&self, error: ::redis::RedisError, request: &Request<'_>) -> RedisResult<Value> {
        let target =
            error.redirect_node().and_then(|(to, _)| self.masters.nodes.iter().position(|at| at.to_string() == to));
        let Some(target) = target else { return Err(error) };
        let mut asking = ::redis::pipe();
        asking.cmd("ASKING").ignore();
        asking.add_command(request.by_text());
        let mut connection = self.connections[target].clone();
        let mut answers: Vec<Value> = asking.query_async(&mut connection).await?;
        answers.pop().unwrap_or_default().extract_error()
    }
}

fn is(error: &::redis::RedisError, code: &str) -> bool {
    error.code() == Some(code)
}
