//! What a client makes of an answer, a refusal, or silence.

use std::time::Duration;

use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{self as pb, Durability, Record};
use holdfast_rpc::client::for_tenant;
use holdfast_rpc::status;
use prost::bytes::Bytes;
use rand::RngExt;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::record::Mark;

/// One try.
const TRY: Duration = Duration::from_secs(3);
/// All tries of a call together: longer than any outage that is made.
const ALTOGETHER: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(20);

/// What a client was told for sure.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The record: its mark and its version; `None` where there is none.
    Read(Option<(Mark, Bytes)>),
    /// The write was taken.
    Written {
        /// The new version; none for a delete.
        version: Option<Bytes>,
        /// Whether it is stored.
        durable: bool,
    },
    /// It was refused, because this was there.
    Conflict(Option<Mark>),
    /// It was refused, because what it follows from is gone.
    Gone,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Told {
    /// The last word; `None` where there was none in time.
    pub answer: Option<Answer>,
    /// Whether a try before it may have taken effect.
    pub doubtful: bool,
}

impl Answer {
    pub(super) fn read(answer: pb::GetResponse) -> Self {
        Self::Read(answer.record.as_ref().map(|record| (mark(record).expect("a live record"), record.version.clone())))
    }

    pub(super) fn put(answer: pb::PutResponse) -> Self {
        Self::Written { durable: answer.durability() == Durability::Durable, version: Some(answer.version) }
    }

    pub(super) fn deleted(answer: pb::DeleteResponse) -> Self {
        Self::Written { durable: answer.durability() == Durability::Durable, version: None }
    }

    /// What a refusal says for sure; `None` where it is to be tried again.
    fn refused(refusal: &Status) -> Option<Self> {
        match refusal.code() {
            Code::NotFound => Some(Self::Read(None)),
            Code::DataLoss => Some(Self::Gone),
            Code::Aborted => {
                let conflict: pb::Conflict = status::detail(refusal).expect("ABORTED says what was met");
                // What may have been taken long ago cannot be repeated, and says nothing.
                (!conflict.may_have_happened).then(|| Self::Conflict(conflict.current.as_ref().and_then(mark)))
            }
            _ => None,
        }
    }
}

fn mark(record: &Record) -> Option<Mark> {
    let value = record.value.as_ref()?;
    Some(std::str::from_utf8(&value.data).ok().and_then(|text| text.parse().ok()).expect("records hold marks"))
}

/// Asks one process after another until there is an answer.
///
/// # Panics
/// Where a refusal is none that a correct client can meet.
pub async fn patiently<Q: Clone, F>(
    services: &[StateServiceClient<Channel>],
    message: Q,
    call: impl Fn(StateServiceClient<Channel>, Request<Q>) -> F,
) -> Told
where
    F: Future<Output = Result<Answer, Status>>,
{
    let until = Instant::now() + ALTOGETHER;
    let mut doubtful = false;
    loop {
        let service = services[rand::rng().random_range(0..services.len())].clone();
        let mut request = for_tenant(Request::new(message.clone()), "acme").expect("a tenant's name");
        request.set_timeout(TRY);
        let refusal = match call(service, request).await {
            Ok(answer) => return Told { answer: Some(answer), doubtful },
            Err(refusal) => refusal,
        };
        if let Some(answer) = Answer::refused(&refusal) {
            return Told { answer: Some(answer), doubtful };
        }
        match refusal.code() {
            Code::Aborted => return Told { answer: None, doubtful: true },
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {}
            _ => panic!("no client meets this: {refusal:?}"),
        }
        doubtful |= status::may_have_happened(&refusal);
        if Instant::now() >= until {
            return Told { answer: None, doubtful };
        }
        sleep(PAUSE).await;
    }
}
