use ::redis::{RedisResult, aio::MultiplexedConnection};

/// What a Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    said: String,
}

impl Report {
    /// Asks for these sections of `INFO`, beside those that [`Self::life`] and [`Self::is_master`] need.
    ///
    /// # Errors
    /// It does not answer, or not as it should.
    pub async fn ask(link: &mut MultiplexedConnection, sections: &[&str]) -> RedisResult<Self> {
        let mut questions = ::redis::pipe();
        for section in ["server", "replication"].iter().chain(sections) {
            questions.cmd("INFO").arg(*section);
        }
        let said: Vec<String> = questions.query_async(link).await?;
        Ok(Self { said: said.concat() })
    }

    /// What it says of a field; empty where it says nothing.
    pub fn field(&self, name: &str) -> &str {
        self.said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
    }

    /// Whether it takes writes.
    pub fn is_master(&self) -> bool {
        self.field("role") == "master"
    }

    /// Which process it is, and of which line of data: another after a restart, a failover, or in another's place.
    pub fn life(&self) -> String {
        format!("{}/{}", self.field("run_id"), self.field("master_replid"))
    }
}
