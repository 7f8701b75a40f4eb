//! The loop: model, tools, model, until it answers. Everything that it has learned is in recorded steps, so any worker goes
//! on from there.

mod ask;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use holdfast_proto::llm::v1::ToolDefinition;
use holdfast_rpc::deadline;
use holdfast_sdk::{Context, Failure, Json, Output};
use tokio::time::Instant;

use crate::{
    catalog::Catalog,
    config::Agent,
    domain::{
        answer::{ModelAnswer, Stopped, ToolAnswers, output},
        conversation::Conversation,
        limits::{Clock, check, out_of_time},
    },
    metrics::{Kind, Running, step as count_step},
    tools::{builtin, call_all},
};

/// One agent of the configuration, with the tools of the mesh.
#[derive(Debug)]
pub(crate) struct Runner {
    name: String,
    agent: Agent,
    catalog: Arc<Catalog>,
}

impl Runner {
    pub(crate) fn new(name: String, agent: Agent, catalog: Arc<Catalog>) -> Self {
        Self { name, agent, catalog }
    }

    /// Runs one attempt at an invocation.
    pub(crate) async fn run(self: Arc<Self>, context: Context, input: Json) -> Result<Output, Failure> {
        let running = Running::begin(&self.name);
        let result = self.converse(&context, &input).await;
        match &result {
            Ok(_) => running.ended(true, context.usage()),
            Err(failure) if !failure.retryable => running.ended(false, context.usage()),
            Err(_) => running.failed(),
        }
        result
    }

    async fn converse(&self, context: &Context, input: &Json) -> Result<Output, Failure> {
        let mut conversation = Conversation::new(&self.agent.instructions, input);
        let mut clock = Clock::start(Instant::now());
        let streamed = AtomicBool::new(false);
        for step in 1.. {
            check(step, self.agent.steps_max, context.usage(), self.agent.tokens_max)?;
            let answer = context.step(step, || self.ask(context, &conversation, step, clock, &streamed)).await?;
            clock.catch_up(answer.elapsed_ms, Instant::now());
            conversation.model_said(&answer);
            if answer.calls.is_empty() {
                return self.finish(context, &answer, streamed.load(Ordering::Relaxed)).await;
            }
            let name = format!("{step:06}.tools");
            let answers = context.step(name, || self.call(context, step, &answer, clock)).await?;
            clock.catch_up(answers.elapsed_ms, Instant::now());
            conversation.tools_said(&answers);
        }
        unreachable!("a limit on steps ends the loop")
    }

    async fn ask(
        &self,
        context: &Context,
        conversation: &Conversation,
        step: u32,
        clock: Clock,
        streamed: &AtomicBool,
    ) -> Result<ModelAnswer, Failure> {
        self.in_time(clock, async {
            let request = ask::request(&self.agent, conversation, self.offered().await?);
            let answer = match self.agent.tools.is_empty() {
                // Without tools every word is part of the final answer, and can be told as it comes.
                true => ask::streaming(context, request, streamed).await?,
                false => ask::whole(context, request).await?,
            };
            count_step(&self.name, Kind::Model);
            Ok(ModelAnswer::new(step, answer, clock.elapsed_ms(Instant::now())))
        })
        .await
    }

    async fn call(
        &self,
        context: &Context,
        step: u32,
        answer: &ModelAnswer,
        clock: Clock,
    ) -> Result<ToolAnswers, Failure> {
        let names: Vec<_> = answer.calls.iter().map(|call| call.tool.as_str()).collect();
        let told = context.progress(format!("step {step}: {}", names.join(", ")), None);
        self.in_time(clock, async {
            let calls = call_all(context, &self.catalog, &self.agent, step, &answer.calls);
            let (answers, ()) = futures::join!(calls, told);
            count_step(&self.name, Kind::Tools);
            Ok(ToolAnswers { answers: answers?, elapsed_ms: clock.elapsed_ms(Instant::now()) })
        })
        .await
    }

    async fn finish(&self, context: &Context, answer: &ModelAnswer, streamed: bool) -> Result<Output, Failure> {
        match answer.stopped {
            Stopped::ContentFilter => {
                return Err(Failure::fatal("CONTENT_FILTER", "the provider held the model's answer back"));
            }
            Stopped::Length if answer.text.is_empty() => {
                return Err(Failure::fatal("OUTPUT_LIMIT", "the model's output ended before it said anything"));
            }
            Stopped::Length => tracing::warn!(invocation_id = context.id(), "the model's answer was cut at its limit"),
            Stopped::Done => {}
        }
        if answer.degraded {
            context.progress("the model's fallback answered, and no model did", None).await;
        }
        if !streamed {
            ask::tell(context, &answer.text).await;
        }
        Ok(output(&answer.text))
    }

    /// The tools that the model may call.
    async fn offered(&self) -> Result<Vec<ToolDefinition>, Failure> {
        let (built_in, of_mesh): (Vec<_>, Vec<_>) =
            self.agent.tools.iter().cloned().partition(|tool| builtin::is_one(tool));
        let mut offered = self.catalog.definitions(&of_mesh).await?;
        offered.extend(built_in.iter().filter_map(|tool| builtin::definition(tool)));
        Ok(offered)
    }

    /// Work of this attempt, which ends at the limit of time; its calls know of it.
    async fn in_time<T>(&self, clock: Clock, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let time_max: Duration = *self.agent.time_max;
        let end = clock.end(time_max);
        let inherited = deadline::current();
        let work = deadline::scope(Some(inherited.map_or(end, |at| at.min(end))), work);
        match tokio::time::timeout_at(end, work).await {
            Ok(Err(failure)) if Instant::now() >= end => {
                tracing::debug!(reason = failure.reason, "the last call ended with the time");
                Err(out_of_time(time_max))
            }
            Ok(result) => result,
            Err(_) => Err(out_of_time(time_max)),
        }
    }
}
