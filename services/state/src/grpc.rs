//! Decode, call, encode.

mod access;
mod convert;
mod fail;

use holdfast_proto::state::v1::{self as pb, state_service_server::StateService};
use holdfast_rpc::{Caller, time::now_micros};
use tonic::{Request, Response, Status};

use crate::{config::Config, state::State};

/// The service as its contract says.
#[derive(Debug)]
pub struct Api {
    state: State,
    config: Config,
}

impl Api {
    /// Serves the use cases by these settings.
    pub fn new(state: State, config: Config) -> Self {
        Self { state, config }
    }
}

#[tonic::async_trait]
impl StateService for Api {
    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let asked = request.get_ref();
        let address = convert::address(Caller::of(&request).tenant()?, asked.address.as_ref(), "address")?;
        let found = match convert::at_version(asked, &address)? {
            Some(version) => self.state.get_at(&address, &version).await,
            None => self.state.get(&address).await,
        };
        let edition = found.map_err(fail::status)?.ok_or_else(|| fail::not_there(&address))?;
        Ok(Response::new(pb::GetResponse { record: Some(convert::record(&address, &edition)), staleness: None }))
    }

    async fn batch_get(&self, request: Request<pb::BatchGetRequest>) -> Result<Response<pb::BatchGetResponse>, Status> {
        let addresses = convert::addresses(Caller::of(&request).tenant()?, &request.get_ref().addresses)?;
        let found = self.state.get_all(&addresses).await.map_err(fail::status)?;
        let records = addresses
            .iter()
            .zip(&found)
            .filter_map(|(address, edition)| Some(convert::record(address, edition.as_ref()?)));
        Ok(Response::new(pb::BatchGetResponse { records: records.collect(), staleness: None }))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let author = access::author(&caller)?;
        let command = convert::put(&caller, request.into_inner(), &self.config, now_micros())?;
        access::may_write(&caller, &command, &self.config)?;
        let written = self.state.write(&command, author.as_ref()).await.map_err(fail::status)?;
        Ok(Response::new(convert::put_response(&command, &written)))
    }

    async fn batch_put(&self, request: Request<pb::BatchPutRequest>) -> Result<Response<pb::BatchPutResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let author = access::author(&caller)?;
        let command = convert::batch_put(&caller, request.into_inner(), &self.config, now_micros())?;
        access::may_write(&caller, &command, &self.config)?;
        let written = self.state.write(&command, author.as_ref()).await.map_err(fail::status)?;
        Ok(Response::new(convert::batch_put_response(&command, &written)))
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Result<Response<pb::DeleteResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let author = access::author(&caller)?;
        let command = convert::delete(&caller, request.into_inner(), &self.config, now_micros())?;
        access::may_write(&caller, &command, &self.config)?;
        let written = self.state.write(&command, author.as_ref()).await.map_err(fail::status)?;
        Ok(Response::new(pb::DeleteResponse { durability: convert::durability(written.durability).into() }))
    }

    async fn list(&self, request: Request<pb::ListRequest>) -> Result<Response<pb::ListResponse>, Status> {
        let tenant = Caller::of(&request).tenant()?.to_owned();
        let query = convert::page_query(&tenant, request.into_inner())?;
        let page = self.state.list(query).await.map_err(fail::status)?;
        Ok(Response::new(convert::page(&page)))
    }

    async fn sync(&self, request: Request<pb::SyncRequest>) -> Result<Response<pb::SyncResponse>, Status> {
        let tenant = Caller::of(&request).tenant()?.to_owned();
        let partition = convert::partition(&tenant, &request.get_ref().namespace, &request.get_ref().partition)?;
        self.state.sync(&partition).await.map_err(fail::status)?;
        Ok(Response::new(pb::SyncResponse {}))
    }

    async fn history(&self, request: Request<pb::HistoryRequest>) -> Result<Response<pb::HistoryResponse>, Status> {
        let query = convert::history_query(Caller::of(&request).tenant()?, request.get_ref())?;
        let editions = self.state.history(query.clone()).await.map_err(fail::status)?;
        Ok(Response::new(convert::history(&query, &editions)))
    }

    type WatchStream = futures::stream::Pending<Result<pb::WatchResponse, Status>>;

    async fn watch(&self, _: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("Watch"))
    }

    async fn acquire_lock(
        &self,
        _: Request<pb::AcquireLockRequest>,
    ) -> Result<Response<pb::AcquireLockResponse>, Status> {
        Err(Status::unimplemented("AcquireLock"))
    }

    async fn renew_lock(&self, _: Request<pb::RenewLockRequest>) -> Result<Response<pb::RenewLockResponse>, Status> {
        Err(Status::unimplemented("RenewLock"))
    }

    async fn release_lock(
        &self,
        _: Request<pb::ReleaseLockRequest>,
    ) -> Result<Response<pb::ReleaseLockResponse>, Status> {
        Err(Status::unimplemented("ReleaseLock"))
    }

    async fn list_locks(&self, _: Request<pb::ListLocksRequest>) -> Result<Response<pb::ListLocksResponse>, Status> {
        Err(Status::unimplemented("ListLocks"))
    }

    async fn register_fence(
        &self,
        request: Request<pb::RegisterFenceRequest>,
    ) -> Result<Response<pb::RegisterFenceResponse>, Status> {
        let holder = access::author(Caller::of(&request))?.ok_or_else(access::lease_required)?;
        self.state.register_fence(&holder).await.map_err(fail::status)?;
        Ok(Response::new(pb::RegisterFenceResponse { fence: holder.number }))
    }

    async fn raise_fence(
        &self,
        request: Request<pb::RaiseFenceRequest>,
    ) -> Result<Response<pb::RaiseFenceResponse>, Status> {
        access::may_raise(Caller::of(&request), &request.get_ref().tenant)?;
        let (scope, number) = convert::raise(request.into_inner())?;
        self.state.raise_fence(&scope, number).await.map_err(fail::status)?;
        Ok(Response::new(pb::RaiseFenceResponse {}))
    }
}
