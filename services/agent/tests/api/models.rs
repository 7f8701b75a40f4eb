//! A model by script: what it says depends on how far the conversation is, whoever asks.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::Stream;
use holdfast_proto::llm::v1::{self as pb, llm_service_server::LlmService, stream_generate_response::Part};
use holdfast_rpc::Error;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status};

pub struct Models {
    script: Mutex<Vec<pb::GenerateResponse>>,
    asked: watch::Sender<Vec<pb::GenerateRequest>>,
    /// So many questions are refused with a retry-after.
    pub refuse: AtomicU32,
    /// The step at which the model hangs until it is let go on.
    pub hang_at: Mutex<Option<usize>>,
    pub go_on: Semaphore,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            script: Mutex::default(),
            asked: watch::Sender::default(),
            refuse: AtomicU32::new(0),
            hang_at: Mutex::default(),
            go_on: Semaphore::new(0),
        }
    }
}

/// An answer in words. Each answer costs ten tokens to read and five to write.
pub fn says(text: &str) -> pb::GenerateResponse {
    let message = pb::Message { role: pb::Role::Assistant.into(), content: text.into(), ..Default::default() };
    pb::GenerateResponse {
        message: Some(message),
        finish_reason: pb::FinishReason::Stop.into(),
        usage: Some(pb::TokenUsage { input_tokens: 10, output_tokens: 5 }),
        deployment: "scripted/model".into(),
        ..Default::default()
    }
}

/// An answer that calls tools.
pub fn calls(calls: &[(&str, &str)]) -> pb::GenerateResponse {
    let mut answer = says("");
    answer.finish_reason = pb::FinishReason::ToolCalls.into();
    let call = |(index, (name, arguments)): (usize, &(&str, &str))| pb::ToolCall {
        id: format!("c{index}"),
        name: (*name).into(),
        arguments: (*arguments).into(),
    };
    answer.message.as_mut().expect("just made").tool_calls = calls.iter().enumerate().map(call).collect();
    answer
}

impl Models {
    pub fn script(&self, answers: impl IntoIterator<Item = pb::GenerateResponse>) {
        *self.script.lock() = answers.into_iter().collect();
    }

    pub fn asked(&self) -> Vec<pb::GenerateRequest> {
        self.asked.borrow().clone()
    }

    /// Waits until the model was asked so often.
    pub async fn asked_times(&self, times: usize) {
        self.asked.subscribe().wait_for(|asked| asked.len() >= times).await.expect("the model is ours");
    }

    /// The tool messages of the last question, as JSON where they are.
    pub fn told(&self) -> Vec<Json> {
        let last = self.asked().pop().expect("it was asked");
        let told = last.messages.into_iter().filter(|message| message.role() == pb::Role::Tool);
        told.map(|message| serde_json::from_str(&message.content).unwrap_or(Json::String(message.content))).collect()
    }

    async fn answer(&self, request: pb::GenerateRequest) -> Result<pb::GenerateResponse, Status> {
        let step = request.messages.iter().filter(|message| message.role() == pb::Role::Assistant).count();
        self.asked.send_modify(|asked| asked.push(request));
        if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::exhausted("the line is full", Duration::from_millis(20)).into());
        }
        let hangs = *self.hang_at.lock() == Some(step);
        if hangs {
            let _ = self.go_on.acquire().await.expect("never closed");
        }
        let script = self.script.lock();
        Ok(script.get(step).or(script.last()).expect("there is a script").clone())
    }
}

#[tonic::async_trait]
impl LlmService for Models {
    type WatchCapacityStream = tokio_stream::Empty<Result<pb::WatchCapacityResponse, Status>>;
    type StreamGenerateStream = Pin<Box<dyn Stream<Item = Result<pb::StreamGenerateResponse, Status>> + Send>>;

    async fn generate(&self, request: Request<pb::GenerateRequest>) -> Result<Response<pb::GenerateResponse>, Status> {
        Ok(Response::new(self.answer(request.into_inner()).await?))
    }

    async fn stream_generate(
        &self,
        request: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let answer = self.answer(request.into_inner().request.unwrap_or_default()).await?;
        let text = answer.message.clone().unwrap_or_default().content;
        let words: Vec<_> = text.split_inclusive(' ').map(|word| Part::Text(word.to_owned())).collect();
        let parts = words.into_iter().chain([Part::End(answer)]);
        let parts = parts.map(|part| Ok(pb::StreamGenerateResponse { part: Some(part) })).collect::<Vec<_>>();
        Ok(Response::new(Box::pin(futures::stream::iter(parts))))
    }

    async fn list_models(&self, _: Request<pb::ListModelsRequest>) -> Result<Response<pb::ListModelsResponse>, Status> {
        Ok(Response::new(pb::ListModelsResponse::default()))
    }

    async fn get_capacity(
        &self,
        _: Request<pb::GetCapacityRequest>,
    ) -> Result<Response<pb::GetCapacityResponse>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
    }

    async fn watch_capacity(
        &self,
        _: Request<pb::WatchCapacityRequest>,
    ) -> Result<Response<Self::WatchCapacityStream>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
    }
}
