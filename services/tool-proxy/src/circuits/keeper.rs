//! What outlasts every process: the standing of circuits and the words of operators, as records of the state service.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::state::v1::precondition::{Overwrite, Precondition as Must};
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, BatchGetRequest, Durability, GetRequest, Precondition, PutRequest, Record, Value,
};
use holdfast_resilience::breaker::{Mode, Reason, Snapshot, Standing, State};
use holdfast_rpc::{Channel, Error, client, deadline, id, status, time};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::word::Word;

/// Where the records live: partition is the circuit.
const NAMESPACE: &str = "holdfast.circuits";
/// Circuits belong to no tenant. No tenant's name may begin so.
const TENANT: &str = ".mesh";
const STANDING: &str = "standing";
const WORD: &str = "word";
/// Circuits in one question.
const AT_ONCE: usize = 400;
/// A standing says nothing any more after this; those of tools that are gone go too.
const STANDING_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Operators who speak at once, one after the other.
const TRIES: usize = 8;
/// When to come back where the state service did not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The way to the records.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    client: StateServiceClient<Channel>,
    timeout: Duration,
}

/// How a circuit stood; its open time is wall time, for nothing else goes on while nobody runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stood {
    state: State,
    until_us: i64,
    openings: u32,
    reason: Reason,
}

/// What is kept of one circuit.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// As it is to be taken over now.
    pub(super) standing: Option<Standing>,
    pub(super) word: Option<Word>,
}

impl Keeper {
    pub(crate) fn new(state: Channel, timeout: Duration) -> Self {
        Self { client: StateServiceClient::new(state), timeout }
    }

    /// What is kept of some circuits, in their order.
    pub(super) async fn read(&self, names: &[&str]) -> Result<Vec<Kept>, Error> {
        let mut all = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            let addresses = names.iter().flat_map(|name| [address(name, STANDING), address(name, WORD)]).collect();
            let request = request(BatchGetRequest { addresses, ..Default::default() })?;
            let mut state = self.client.clone();
            let answer = self.within(state.batch_get(request)).await.map_err(refusal)?.into_inner();
            let now = time::now_micros();
            all.extend(names.iter().map(|name| kept(name, &answer.records, now)));
        }
        Ok(all)
    }

    /// Keeps how a circuit stands, over whatever stood there: nobody needs what was before.
    pub(super) async fn keep_standing(&self, name: &str, now: &Snapshot) -> Result<(), Error> {
        let left = i64::try_from(now.standing().open_for.as_micros()).unwrap_or(i64::MAX);
        let stood = Stood {
            state: now.state,
            until_us: time::now_micros().saturating_add(left),
            openings: now.openings,
            reason: now.reason,
        };
        let overwrite = Must::Overwrite(Overwrite {});
        let put =
            PutRequest { ttl: Some(time::duration(STANDING_TTL)), ..put(name, STANDING, &stood, Some(overwrite))? };
        let mut state = self.client.clone();
        self.within(state.put(request(put)?)).await.map(drop).map_err(refusal)
    }

    /// Keeps an operator's word as the last one, durably. `heard` is the last one that this process knows.
    pub(super) async fn keep_word(&self, name: &str, word: Word, heard: Option<Word>) -> Result<Word, Error> {
        for _ in 0..TRIES {
            let found = self.find_word(name).await?;
            let (before, version) = found.map_or((None, None), |(word, version)| (Some(word), Some(version)));
            let word = word.clone().after(time::now_micros(), &[before.as_ref(), heard.as_ref()]);
            let put = put(name, WORD, &word, version.map(Must::Version))?;
            let mut state = self.client.clone();
            match self.within(state.put(request(put)?)).await {
                Ok(_) => return Ok(word),
                // Another operator was quicker: this one comes after.
                Err(status) if status.code() == Code::Aborted => {}
                Err(status) => return Err(refusal(status)),
            }
        }
        Err(Error::unavailable("too many set this circuit at once; nothing was changed", RETRY_AFTER))
    }

    async fn find_word(&self, name: &str) -> Result<Option<(Word, Bytes)>, Error> {
        let get = GetRequest { address: Some(address(name, WORD)), ..Default::default() };
        let mut state = self.client.clone();
        match self.within(state.get(request(get)?)).await {
            Ok(answer) => {
                let record = answer.into_inner().record.unwrap_or_default();
                let word = read(&record).ok_or_else(|| Error::internal("a kept word cannot be read"))?;
                Ok(Some((word, record.version)))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(Error::unavailable(why(&status), wait(&status))),
        }
    }

    async fn within<F: Future>(&self, question: F) -> F::Output {
        let own = Instant::now() + self.timeout;
        let until = deadline::current().map_or(own, |deadline| deadline.min(own));
        deadline::scope(Some(until), question).await
    }
}

fn address(name: &str, key: &str) -> Address {
    Address { namespace: NAMESPACE.into(), partition: name.into(), key: key.into() }
}

fn request<T>(message: T) -> Result<Request<T>, Error> {
    client::for_tenant(Request::new(message), TENANT)
}

fn put(name: &str, key: &str, value: &impl Serialize, must: Option<Must>) -> Result<PutRequest, Error> {
    Ok(PutRequest {
        address: Some(address(name, key)),
        value: Some(Value {
            data: serde_json::to_vec(value).map_err(Error::internal)?.into(),
            content_type: String::new(),
        }),
        precondition: must.map(|must| Precondition { precondition: Some(must) }),
        write_id: id::new(),
        durability: Durability::Durable.into(),
        ..Default::default()
    })
}

/// What cannot be read is as good as absent: it comes of another version of this program.
fn kept(name: &str, records: &[Record], now_micros: i64) -> Kept {
    let of = |key: &str| {
        let here = |at: &Address| at.partition == name && at.key == key;
        records.iter().find(|record| record.address.as_ref().is_some_and(here))
    };
    Kept {
        standing: of(STANDING).and_then(read).and_then(|stood: Stood| stood.now(now_micros)),
        word: of(WORD).and_then(read),
    }
}

fn read<T: for<'a> Deserialize<'a>>(record: &Record) -> Option<T> {
    serde_json::from_slice(&record.value.as_ref()?.data).ok()
}

impl Stood {
    /// What is left of it. One that was probing begins to probe again; no clock makes an open time longer than its breaker
    /// allows, for that is checked where it is adopted.
    fn now(self, now_micros: i64) -> Option<Standing> {
        let left = match self.state {
            State::Closed => return None,
            State::HalfOpen => 0,
            State::Open => u64::try_from(self.until_us.saturating_sub(now_micros)).unwrap_or(0),
        };
        Some(Standing {
            state: State::Open,
            mode: Mode::Auto,
            openings: self.openings,
            open_for: Duration::from_micros(left),
            reason: self.reason,
            generation: 0,
        })
    }
}

fn refusal(status: Status) -> Error {
    let unsure = status::may_have_happened(&status);
    let error = Error::unavailable(why(&status), wait(&status));
    if unsure { error.maybe_happened() } else { error }
}

fn why(status: &Status) -> String {
    format!("the state service, which keeps how circuits stand, did not answer: {}", status.message())
}

fn wait(status: &Status) -> Duration {
    status::retry_after(status).unwrap_or(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood(state: State) -> Stood {
        Stood { state, until_us: 5_000_000, openings: 2, reason: Reason::ProbeFailed }
    }

    #[test]
    fn an_open_circuit_stays_open_for_what_was_left() {
        let left = |now| stood(State::Open).now(now).map(|standing| standing.open_for);
        assert_eq!(left(2_000_000), Some(Duration::from_secs(3)));
        assert_eq!(left(9_000_000), Some(Duration::ZERO), "its time passed while nobody ran: it probes");
    }

    #[test]
    fn a_circuit_that_was_probing_begins_by_probing() {
        let standing = stood(State::HalfOpen).now(0).expect("it is not closed");
        assert_eq!((standing.state, standing.open_for, standing.openings), (State::Open, Duration::ZERO, 2));
        assert_eq!(stood(State::Closed).now(0), None);
    }
}
