//! Decode, call, encode.

mod access;
mod convert;
mod fail;
mod watch;

use std::{sync::Arc, time::Duration};

use holdfast_proto::state::v1::{self as pb, state_service_server::StateService};
use holdfast_rpc::{
    Caller,
    service::Stop,
    time::{self, now_micros},
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::{
    config::Config,
    domain::{Address, Edition},
    state::State,
};

/// The service as its contract says.
#[derive(Debug)]
pub struct Api {
    state: State,
    config: Config,
    /// Places for those who watch: they stay, and must not take the calls' places.
    watches: Arc<Semaphore>,
    stop: Stop,
}

impl Api {
    /// Serves the use cases by these settings, until it is told to stop: then streams and waits end.
    pub fn new(state: State, config: Config, stop: Stop) -> Self {
        let watches = Arc::new(Semaphore::new(config.watches_max));
        Self { state, config, watches, stop }
    }

    async fn get_stale(
        &self,
        address: &Address,
        most: Duration,
    ) -> Result<(Option<Arc<Edition>>, Option<Duration>), Status> {
        let read = self.state.get_stale(std::slice::from_ref(address), most).await;
        let (mut found, age) = read.map_err(fail::status)?;
        Ok((found.pop().flatten(), age))
    }
}

#[tonic::async_trait]
impl StateService for Api {
    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let asked = request.get_ref();
        let address = convert::address(Caller::of(&request).tenant()?, asked.address.as_ref(), "address")?;
        let (found, staleness) = match (convert::at_version(asked, &address)?, convert::staleness(asked.max_staleness)?)
        {
            (Some(version), _) => (self.state.get_at(&address, &version).await.map_err(fail::status)?, None),
            (None, Some(most)) => self.get_stale(&address, most).await?,
            (None, None) => (self.state.get(&address).await.map_err(fail::status)?, None),
        };
        let edition = found.ok_or_else(|| fail::not_there(&address))?;
        let staleness = staleness.map(time::duration);
        Ok(Response::new(pb::GetResponse { record: Some(convert::record(&address, &edition)), staleness }))
    }

    async fn batch_get(&self, request: Request<pb::BatchGetRequest>) -> Result<Response<pb::BatchGetResponse>, Status> {
        let asked = request.get_ref();
        let addresses = convert::addresses(Caller::of(&request).tenant()?, &asked.addresses)?;
        let (found, staleness) = match convert::staleness(asked.max_staleness)? {
            Some(most) => self.state.get_stale(&addresses, most).await.map_err(fail::status)?,
            None => (self.state.get_all(&addresses).await.map_err(fail::status)?, None),
        };
        let records = addresses
            .iter()
            .zip(&found)
            .filter_map(|(address, edition)| Some(convert::record(address, edition.as_ref()?)));
        Ok(Response::new(pb::BatchGetResponse { records: records.collect(), staleness: staleness.map(time::duration) }))
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

    type WatchStream = watch::Changes;

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let from = watch::from(Caller::of(&request).tenant()?, request.get_ref())?;
        let place = Arc::clone(&self.watches).try_acquire_owned().map_err(|_| fail::too_many_watch())?;
        let changes = self.state.watch(from).await.map_err(fail::status)?;
        Ok(Response::new(watch::told(changes, self.stop.clone(), place)))
    }

    async fn acquire_lock(
        &self,
        request: Request<pb::AcquireLockRequest>,
    ) -> Result<Response<pb::AcquireLockResponse>, Status> {
        let caller = Caller::of(&request);
        let acquire = convert::acquire(caller, request.get_ref(), access::author(caller)?)?;
        access::may_write_to(caller, &acquire.partition, &self.config)?;
        let taken = self.stop.run_until_cancelled(self.state.acquire(acquire)).await;
        let lock = taken.ok_or_else(fail::draining)?.map_err(fail::status)?;
        Ok(Response::new(pb::AcquireLockResponse { lock: Some(convert::lock(&lock)) }))
    }

    async fn renew_lock(
        &self,
        request: Request<pb::RenewLockRequest>,
    ) -> Result<Response<pb::RenewLockResponse>, Status> {
        let caller = Caller::of(&request);
        let held = convert::renewal(caller.tenant()?, request.get_ref(), access::author(caller)?)?;
        access::may_write_to(caller, &held.partition, &self.config)?;
        self.state.renew(&held).await.map_err(fail::status)?;
        Ok(Response::new(pb::RenewLockResponse {}))
    }

    async fn release_lock(
        &self,
        request: Request<pb::ReleaseLockRequest>,
    ) -> Result<Response<pb::ReleaseLockResponse>, Status> {
        let caller = Caller::of(&request);
        let held = convert::release(caller.tenant()?, request.get_ref(), access::author(caller)?)?;
        access::may_write_to(caller, &held.partition, &self.config)?;
        self.state.release(&held).await.map_err(fail::status)?;
        Ok(Response::new(pb::ReleaseLockResponse {}))
    }

    async fn list_locks(
        &self,
        request: Request<pb::ListLocksRequest>,
    ) -> Result<Response<pb::ListLocksResponse>, Status> {
        let tenant = Caller::of(&request).tenant()?.to_owned();
        let query = convert::locks_query(&tenant, request.into_inner())?;
        let locks = self.state.locks(&query.partition, &query.after, query.most).await.map_err(fail::status)?;
        Ok(Response::new(convert::locks(&query, &locks)))
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
