//! A caller: asks for one invocation, comes back when it is told to, and knows by when it needs the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::{Invocation, InvocationSpec, InvocationState, Payload};
use holdfast_rpc::client::Unanswered;
use holdfast_rpc::{Channel, id, status};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status};

use crate::error::Error;
use crate::pool::{Answer, Task};
use crate::scenario::{Scenario, Which};
use crate::stage::Place;

const CONNECTIONS: usize = 4;
/// A hint is met with up to this share of itself more, so that those who were refused together do not return together.
const HINT_JITTER: f64 = 0.2;
/// Where nobody says when to come back, or nobody is there, this is the pause.
const PAUSE: Duration = Duration::from_millis(50);
/// Answers hold a handful of numbers.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Callers of one side who show the same key.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    channels: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
    agents: Arc<[String]>,
    /// Whether the answers are those of somebody's own agents.
    is_own: bool,
    deadline: Duration,
    tell_deadline: bool,
}

/// What became of an invocation, as its caller saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    /// Its number.
    pub(crate) number: u64,
    /// When it was first asked for.
    pub(crate) asked: Instant,
    /// When its caller had an answer, or gave up.
    pub(crate) ended: Instant,
    /// How it ended.
    pub(crate) end: End,
    /// When its caller was told to come back, and whether the time to do so was named.
    pub(crate) refusals: Vec<(Instant, bool)>,
}

/// How an invocation ended for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With an answer, in time.
    Answered { degraded: bool, misled: bool },
    /// Not by the deadline.
    Expired,
    /// It was never taken.
    Refused,
    /// Otherwise, and why.
    Failed(String),
}

/// What one try came to.
enum Tried {
    Ended(End),
    /// Told to come back, and when.
    Refused(Option<Duration>),
    /// Nobody there, or the connection broke.
    Unreachable,
}

impl Callers {
    /// Those who show this key; an empty one is none.
    pub(crate) fn new(scenario: &Scenario, which: Which, place: &Place, key: &str) -> Result<Self, Error> {
        let key = Some(key).filter(|key| !key.is_empty());
        let channel = || Channel::connect("gateway", &place.gateway, key, None);
        let channels: Result<Vec<_>, _> = (0..CONNECTIONS).map(|_| channel()).collect();
        Ok(Self {
            channels: channels.map_err(|error| Error::Mesh(error.to_string()))?.into(),
            next: Arc::default(),
            agents: scenario.agents().into(),
            is_own: scenario.wants_own(),
            deadline: scenario.pace().here(*scenario.time.deadline),
            tell_deadline: scenario.manner(which).tell_deadline,
        })
    }

    /// One of the connections.
    pub(crate) fn channel(&self) -> Channel {
        self.channels[self.next.fetch_add(1, Relaxed) % self.channels.len()].clone()
    }

    /// How long each waits.
    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// One invocation, to its end.
    pub(crate) async fn run(self, task: Task) -> Ended {
        let asked = Instant::now();
        let mut case = Case { number: task.number, refusals: Vec::new(), is_away: false };
        let spec = self.spec(task, asked);
        let tried = timeout(self.deadline, case.persist(&self, spec, asked)).await;
        let end = match tried {
            Ok(end) => end,
            // Its time ran out on the way back to a door that was shut.
            Err(_) if case.is_away => End::Refused,
            Err(_) => End::Expired,
        };
        Ended { number: task.number, asked, ended: Instant::now(), end, refusals: case.refusals }
    }

    fn spec(&self, task: Task, asked: Instant) -> InvocationSpec {
        let data = serde_json::to_vec(&task).unwrap_or_default().into();
        let left = self.deadline.saturating_sub(asked.elapsed());
        InvocationSpec {
            agent: self.agents[task.number as usize % self.agents.len()].clone(),
            payload: Some(Payload { data, content_type: "application/json".into() }),
            // Whoever asks again means the same invocation.
            idempotency_key: id::new(),
            deadline: self.tell_deadline.then(|| (SystemTime::now() + left).into()),
            ..Default::default()
        }
    }

    async fn try_once(&self, number: u64, spec: InvocationSpec, left: Duration) -> Tried {
        let mut request = Request::new(RunInvocationRequest { spec: Some(spec) });
        request.set_timeout(left);
        let client = InvocationServiceClient::new(self.channel());
        match client.max_decoding_message_size(ANSWER_BYTES_MAX).run_invocation(request).await {
            Ok(answer) => {
                let number = (!self.is_own).then_some(number);
                Tried::Ended(End::of(&answer.into_inner().invocation.unwrap_or_default(), number))
            }
            Err(status) => Tried::of(&status),
        }
    }
}

/// One invocation on its way.
struct Case {
    number: u64,
    refusals: Vec<(Instant, bool)>,
    /// Whether its caller is on the way back to a door that was shut.
    is_away: bool,
}

impl Case {
    async fn persist(&mut self, callers: &Callers, spec: InvocationSpec, asked: Instant) -> End {
        loop {
            let left = callers.deadline.saturating_sub(asked.elapsed());
            let pause = match callers.try_once(self.number, spec.clone(), left).await {
                Tried::Ended(end) => return end,
                Tried::Refused(hint) => {
                    self.refusals.push((Instant::now(), hint.is_some()));
                    self.is_away = true;
                    hint.map_or(PAUSE, |hint| hint.mul_f64(1.0 + HINT_JITTER * rand::random::<f64>()))
                }
                Tried::Unreachable => PAUSE,
            };
            sleep(pause).await;
            self.is_away = false;
        }
    }
}

impl Tried {
    fn of(refused: &Status) -> Self {
        match refused.code() {
            Code::ResourceExhausted => Self::Refused(status::retry_after(refused)),
            Code::Unavailable if Unanswered::of(refused).is_none() => Self::Refused(status::retry_after(refused)),
            Code::Unavailable => Self::Unreachable,
            // A connection that breaks in the middle of a call shows as one of these, and says nothing of the mesh's.
            Code::Cancelled | Code::Internal | Code::Unknown if status::reason(refused).is_none() => Self::Unreachable,
            Code::DeadlineExceeded => Self::Ended(End::Expired),
            code => Self::Ended(End::Failed(status::reason(refused).unwrap_or_else(|| format!("{code:?}")))),
        }
    }
}

impl End {
    /// Somebody's own agents answer without a number, and what is right in their answers only their owner knows.
    fn of(ended: &Invocation, number: Option<u64>) -> Self {
        if ended.state() != InvocationState::Succeeded {
            let reason = ended.failure.as_ref().map_or("FAILED", |failure| &failure.reason);
            return if reason == "DEADLINE_PASSED" { Self::Expired } else { Self::Failed(reason.to_owned()) };
        }
        let Some(asked) = number else { return Self::Answered { degraded: false, misled: false } };
        let result = ended.result.as_ref().map(|result| &*result.data).unwrap_or_default();
        match serde_json::from_slice::<Answer>(result) {
            Ok(Answer { number, degraded, misled }) if number == asked => Self::Answered { degraded, misled },
            Ok(_) => Self::Failed("ANSWER_OF_ANOTHER".into()),
            Err(_) => Self::Failed("NO_ANSWER".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::queue::v1::Failure;
    use serde_json::json;

    use super::*;

    fn ended(state: InvocationState, reason: &str, result: &str) -> Invocation {
        let failure = Some(Failure { reason: reason.into(), ..Default::default() });
        let result = Some(Payload { data: result.to_owned().into(), content_type: String::new() });
        Invocation { state: state.into(), failure, result, ..Default::default() }
    }

    #[test]
    fn an_end_is_what_it_was_for_the_caller() {
        let answer = json!({"number": 1, "degraded": true, "misled": false}).to_string();
        let of = |state, reason: &str, result: &str| End::of(&ended(state, reason, result), Some(1));
        let answered = End::Answered { degraded: true, misled: false };
        assert_eq!(of(InvocationState::Succeeded, "", &answer), answered);
        assert_eq!(of(InvocationState::Succeeded, "", "{}"), End::Failed("NO_ANSWER".into()));
        assert_eq!(of(InvocationState::Dead, "MODEL_LIMITED", ""), End::Failed("MODEL_LIMITED".into()));
        assert_eq!(of(InvocationState::Failed, "DEADLINE_PASSED", ""), End::Expired);
        let own = End::Answered { degraded: false, misled: false };
        assert_eq!(End::of(&ended(InvocationState::Succeeded, "", "Dear customer"), None), own);
        let another = answer.replace("\"number\":1", "\"number\":2");
        assert_eq!(of(InvocationState::Succeeded, "", &another), End::Failed("ANSWER_OF_ANOTHER".into()));
    }

    #[test]
    fn a_refusal_without_a_time_to_come_back_is_told_apart() {
        let full = Status::resource_exhausted("full");
        assert!(matches!(Tried::of(&full), Tried::Refused(None)));
        assert!(matches!(Tried::of(&Status::deadline_exceeded("late")), Tried::Ended(End::Expired)));
        assert!(matches!(Tried::of(&Status::unknown("broken")), Tried::Unreachable));
        assert!(matches!(Tried::of(&Status::not_found("no such agent")), Tried::Ended(End::Failed(_))));
    }
}
