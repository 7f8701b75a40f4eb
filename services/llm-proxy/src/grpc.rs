//! The contract: decode, call, encode.

mod capacity;
mod convert;

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::{Caller, Error, deadline, service::Stop};
use tonic::{Request, Response, Status};

use crate::{
    llm::{Llm, Who},
    web::Held,
};

/// The service on the wire.
#[derive(Debug)]
pub(crate) struct Grpc {
    llm: Arc<Llm>,
    stop: Stop,
}

impl Grpc {
    pub(crate) fn new(llm: Arc<Llm>, stop: Stop) -> Self {
        Self { llm, stop }
    }
}

/// Answers that began before a stop may end within the drain; new calls are told to go elsewhere.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

#[tonic::async_trait]
impl pb::llm_service_server::LlmService for Grpc {
    async fn generate(&self, request: Request<pb::GenerateRequest>) -> Result<Response<pb::GenerateResponse>, Status> {
        self.take_no_more()?;
        let who = Who::of(Caller::of(&request))?;
        let _held = held(&request);
        let ask = convert::ask(request.into_inner())?;
        let reply = self.llm.generate(&who, &ask).await?;
        Ok(Response::new(convert::reply(reply)))
    }

    type StreamGenerateStream = BoxStream<'static, Result<pb::StreamGenerateResponse, Status>>;

    async fn stream_generate(
        &self,
        request: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        self.take_no_more()?;
        let who = Who::of(Caller::of(&request))?;
        // Until the conversation is at the provider.
        let _held = held(&request);
        let ask = request.into_inner().request.ok_or_else(|| Error::invalid("request", "is missing"))?;
        let begun = self.llm.stream(who, convert::ask(ask)?, deadline::current()).await?;
        let answers = begun.pieces.flat_map(|piece| {
            stream::iter(match piece {
                Ok(piece) => convert::piece(piece).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(Status::from(error))],
            })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn list_models(&self, _: Request<pb::ListModelsRequest>) -> Result<Response<pb::ListModelsResponse>, Status> {
        let models = self.llm.models().map(convert::model).collect();
        Ok(Response::new(pb::ListModelsResponse { models }))
    }

    async fn get_capacity(
        &self,
        request: Request<pb::GetCapacityRequest>,
    ) -> Result<Response<pb::GetCapacityResponse>, Status> {
        capacity::may_look(Caller::of(&request))?;
        let houses = capacity::houses(&self.llm, &request.get_ref().model)?;
        Ok(Response::new(pb::GetCapacityResponse { providers: capacity::now(&houses) }))
    }

    type WatchCapacityStream = capacity::News;

    async fn watch_capacity(
        &self,
        request: Request<pb::WatchCapacityRequest>,
    ) -> Result<Response<Self::WatchCapacityStream>, Status> {
        self.take_no_more()?;
        capacity::may_look(Caller::of(&request))?;
        let pb::WatchCapacityRequest { model, interval } = request.into_inner();
        let (houses, interval) = (capacity::houses(&self.llm, &model)?, capacity::interval(interval)?);
        Ok(Response::new(capacity::watch(houses, interval, self.stop.clone())))
    }
}

/// The room that a request takes up, to be kept for as long as it is needed.
fn held<T>(request: &Request<T>) -> Option<Held> {
    request.extensions().get().cloned()
}

impl Grpc {
    fn take_no_more(&self) -> Result<(), Status> {
        if self.stop.is_cancelled() {
            return Err(Error::unavailable("this process is draining", RETRY_AFTER).into());
        }
        Ok(())
    }
}
