//! A case as its caller sees it: asked for with a deadline, and ended in time or not.

use std::time::{Duration, Instant, SystemTime};

use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::{Invocation, InvocationSpec, InvocationState, Payload};
use serde_json::{Map, Value, json};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::desk::{AGENT, CUSTOMERS, HANGING, NOTING};

/// How long after its deadline an end is still waited for.
const GRACE: Duration = Duration::from_secs(5);

/// A case to be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its number.
    pub number: u64,
    /// What it may take altogether.
    pub deadline: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// In time, with the answers of all tools.
    Real,
    /// In time, with a substitute for at least one of them.
    Degraded,
    /// Not in time, or not at all.
    Lost(String),
}

/// A case that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its number.
    pub number: u64,
    /// What its caller waited.
    pub took: Duration,
    /// How it ended.
    pub end: End,
    /// Where the answer of the tool that may hang came from; empty where the case was lost.
    pub risk: String,
    /// Whether the case was noted for certain, as its answer says.
    pub noted: bool,
}

impl Case {
    /// Asks for it and waits for its end.
    pub async fn run(self, channel: Channel) -> Ended {
        let customer = format!("C-{}", self.number % CUSTOMERS);
        let input = json!({"case": self.number, "customer": customer}).to_string();
        let payload = Payload { data: input.into(), content_type: "application/json".into() };
        let spec = InvocationSpec {
            agent: AGENT.into(),
            payload: Some(payload),
            deadline: Some((SystemTime::now() + self.deadline).into()),
            ..Default::default()
        };
        let mut request = Request::new(RunInvocationRequest { spec: Some(spec) });
        request.set_timeout(self.deadline + GRACE);
        let asked = Instant::now();
        let answer = InvocationServiceClient::new(channel).run_invocation(request).await;
        let took = asked.elapsed();
        let answered = answer.map_err(|status| refusal(&status));
        let said = answered.and_then(|answer| said(&answer.into_inner().invocation.unwrap_or_default()));
        self.ended(took, said)
    }

    fn ended(self, took: Duration, said: Result<Map<String, Value>, String>) -> Ended {
        let lost =
            |why: String| Ended { number: self.number, took, end: End::Lost(why), risk: String::new(), noted: false };
        let said = match said {
            Ok(said) if took <= self.deadline => said,
            Ok(_) => return lost("LATE".into()),
            Err(why) => return lost(why),
        };
        let of = |tool: &str| said.get(tool).and_then(Value::as_str).unwrap_or("NOTHING").to_owned();
        let end = if said.values().all(|outcome| outcome == "REAL") { End::Real } else { End::Degraded };
        Ended { number: self.number, took, end, risk: of(HANGING), noted: of(NOTING) == "REAL" }
    }
}

fn refusal(status: &Status) -> String {
    format!("{:?}", status.code())
}

/// The outcome of each tool, as the agent's answer has it.
fn said(ended: &Invocation) -> Result<Map<String, Value>, String> {
    if ended.state() != InvocationState::Succeeded {
        let reason = ended.failure.as_ref().map_or("FAILED", |failure| &failure.reason);
        return Err(reason.to_owned());
    }
    let result = ended.result.as_ref().map(|result| &*result.data).unwrap_or_default();
    match serde_json::from_slice(result) {
        Ok(Value::Object(said)) if !said.is_empty() => Ok(said),
        _ => Err("NO_ANSWER".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { number: 1, deadline: Duration::from_secs(6) };

    fn answer(risk: &str) -> Invocation {
        let said = json!({"risk_score": risk, "case_note": "REAL"}).to_string();
        let result = Some(Payload { data: said.into(), content_type: String::new() });
        Invocation { state: InvocationState::Succeeded.into(), result, ..Default::default() }
    }

    #[test]
    fn an_answer_with_a_substitute_is_counted_apart_and_a_late_one_is_lost() {
        let second = Duration::from_secs(1);
        assert_eq!(CASE.ended(second, said(&answer("REAL"))).end, End::Real);
        let degraded = CASE.ended(second, said(&answer("CACHED")));
        assert_eq!((degraded.end, &*degraded.risk, degraded.noted), (End::Degraded, "CACHED", true));
        assert_eq!(CASE.ended(second * 7, said(&answer("REAL"))).end, End::Lost("LATE".into()));
    }

    #[test]
    fn what_did_not_succeed_or_says_nothing_is_lost() {
        let failed = Invocation { state: InvocationState::Failed.into(), ..answer("REAL") };
        let silent = Invocation { result: None, ..answer("REAL") };
        for ended in [failed, silent] {
            assert!(matches!(CASE.ended(Duration::ZERO, said(&ended)).end, End::Lost(_)), "{ended:?}");
        }
    }
}
