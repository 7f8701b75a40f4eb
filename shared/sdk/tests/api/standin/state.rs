use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use holdfast_proto::state::v1::{self as pb, state_service_server::StateService};
use holdfast_rpc::{
    Error,
    lease::{self, FenceScope, LeaseKey, LeaseToken},
};
use holdfast_sdk::state::Address;
use parking_lot::Mutex;
use tonic::{Request, Response, Status};

type Place = (String, String, String);

pub struct State {
    key: LeaseKey,
    inner: Mutex<Inner>,
    /// So many calls are answered "unavailable", and do nothing.
    pub absent: AtomicU32,
    /// So many writes are taken, and their answers lost.
    pub lose_answers: AtomicU32,
    /// Writes that were refused because the record had moved on.
    pub conflicts: AtomicU32,
    pub reads: AtomicU32,
    /// The `traceparent` of each lock that was given back.
    pub given_back: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Inner {
    records: HashMap<Place, pb::Record>,
    writes: HashMap<String, pb::PutResponse>,
    fences: HashMap<FenceScope, u64>,
    registered: Vec<u64>,
}

impl State {
    pub fn new(key: LeaseKey) -> Self {
        Self {
            key,
            inner: Mutex::default(),
            absent: AtomicU32::new(0),
            lose_answers: AtomicU32::new(0),
            conflicts: AtomicU32::new(0),
            reads: AtomicU32::new(0),
            given_back: Mutex::default(),
        }
    }

    /// Fences that were registered by RegisterFence, in order.
    pub fn registered(&self) -> Vec<u64> {
        self.inner.lock().registered.clone()
    }

    pub fn record(&self, namespace: &str, partition: &str, key: &str) -> Option<pb::Record> {
        self.inner.lock().records.get(&(namespace.into(), partition.into(), key.into())).cloned()
    }

    /// Somebody else writes.
    pub fn overwrite(&self, address: &Address, json: &'static str) {
        let mut inner = self.inner.lock();
        let place = (address.namespace.clone(), address.partition.clone(), address.key.clone());
        let record = inner.records.get_mut(&place).expect("it is there");
        record.revision += 1;
        record.version = record.revision.to_be_bytes().to_vec().into();
        record.value = Some(pb::Value { data: json.into(), content_type: String::new() });
    }

    fn enter<T>(&self, request: &Request<T>) -> Result<Option<LeaseToken>, Status> {
        if take(&self.absent) {
            return Err(Error::unavailable("state is away", Duration::from_millis(5)).into());
        }
        let token = request.metadata().get(lease::HEADER).map(|token| token.to_str().expect("ASCII").to_owned());
        Ok(token.map(|token| self.key.verify(&token)).transpose()?)
    }

    fn lost_answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        if take(&self.lose_answers) {
            return Err(Error::unavailable("the answer was lost", Duration::from_millis(1)).maybe_happened().into());
        }
        Ok(Response::new(answer))
    }
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn place(address: Option<pb::Address>) -> Place {
    let address = address.unwrap_or_default();
    (address.namespace, address.partition, address.key)
}

impl Inner {
    fn check_fence(&mut self, lease: Option<&LeaseToken>) -> Result<(), Error> {
        let Some(lease) = lease else { return Ok(()) };
        let fence = self.fences.entry(lease.scope()).or_default();
        if lease.fence < *fence {
            return Err(Error::precondition("FENCED", "a newer lease writes here"));
        }
        *fence = lease.fence;
        Ok(())
    }
}

#[tonic::async_trait]
impl StateService for State {
    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        self.enter(&request)?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let record = self.inner.lock().records.get(&place(request.into_inner().address)).cloned();
        match record {
            Some(record) => Ok(Response::new(pb::GetResponse { record: Some(record), staleness: None })),
            None => Err(Error::not_found("such record").into()),
        }
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let lease = self.enter(&request)?;
        let put = request.into_inner();
        let mut inner = self.inner.lock();
        inner.check_fence(lease.as_ref())?;
        if let Some(first) = inner.writes.get(&put.write_id).cloned() {
            return Ok(Response::new(first));
        }
        let place = place(put.address.clone());
        let held = inner.records.get(&place);
        let wanted = put.precondition.and_then(|precondition| precondition.precondition);
        let fits = match (&wanted, held) {
            (None, held) => held.is_none(),
            (Some(pb::precondition::Precondition::Version(version)), held) => {
                held.is_some_and(|held| held.version == *version)
            }
            (Some(pb::precondition::Precondition::Overwrite(_)), _) => true,
        };
        let revision = held.map_or(0, |held| held.revision);
        if !fits {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
            let current = Some(held.cloned().unwrap_or_default());
            let conflict = pb::Conflict { current, writers_since: vec![], may_have_happened: false };
            return Err(Error::aborted("the record has moved on", &conflict).into());
        }
        let version = (revision + 1).to_be_bytes().to_vec();
        let writer = pb::Writer {
            write_id: put.write_id.clone(),
            invocation_id: lease.map(|lease| lease.invocation_id).unwrap_or_default(),
            time: None,
        };
        let record = pb::Record {
            address: put.address,
            value: put.value,
            version: version.clone().into(),
            revision: revision + 1,
            writer: Some(writer),
            value_omitted: false,
            expire_time: None,
        };
        inner.records.insert(place, record);
        let answer = pb::PutResponse { version: version.into(), revision: revision + 1, durability: put.durability };
        inner.writes.insert(put.write_id, answer.clone());
        drop(inner);
        self.lost_answer(answer)
    }

    async fn history(&self, _: Request<pb::HistoryRequest>) -> Result<Response<pb::HistoryResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn sync(&self, _: Request<pb::SyncRequest>) -> Result<Response<pb::SyncResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn acquire_lock(
        &self,
        _: Request<pb::AcquireLockRequest>,
    ) -> Result<Response<pb::AcquireLockResponse>, Status> {
        Ok(Response::new(pb::AcquireLockResponse::default()))
    }

    async fn renew_lock(&self, _: Request<pb::RenewLockRequest>) -> Result<Response<pb::RenewLockResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn release_lock(
        &self,
        request: Request<pb::ReleaseLockRequest>,
    ) -> Result<Response<pb::ReleaseLockResponse>, Status> {
        let under = request.metadata().get("traceparent").map(|under| under.to_str().expect("ASCII"));
        self.given_back.lock().push(under.unwrap_or_default().to_owned());
        Ok(Response::new(pb::ReleaseLockResponse::default()))
    }

    async fn list_locks(&self, _: Request<pb::ListLocksRequest>) -> Result<Response<pb::ListLocksResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    type WatchStream = futures::stream::Pending<Result<pb::WatchResponse, Status>>;

    async fn watch(&self, _: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn register_fence(
        &self,
        request: Request<pb::RegisterFenceRequest>,
    ) -> Result<Response<pb::RegisterFenceResponse>, Status> {
        let lease = self.enter(&request)?.ok_or_else(|| Error::precondition("LEASE_REQUIRED", "no lease"))?;
        let mut inner = self.inner.lock();
        inner.check_fence(Some(&lease))?;
        inner.registered.push(lease.fence);
        Ok(Response::new(pb::RegisterFenceResponse { fence: lease.fence }))
    }

    async fn batch_get(&self, _: Request<pb::BatchGetRequest>) -> Result<Response<pb::BatchGetResponse>, Status> {
        Err(unused())
    }

    async fn batch_put(&self, _: Request<pb::BatchPutRequest>) -> Result<Response<pb::BatchPutResponse>, Status> {
        Err(unused())
    }

    async fn delete(&self, _: Request<pb::DeleteRequest>) -> Result<Response<pb::DeleteResponse>, Status> {
        Err(unused())
    }

    async fn list(&self, request: Request<pb::ListRequest>) -> Result<Response<pb::ListResponse>, Status> {
        self.enter(&request)?;
        let asked = request.into_inner();
        let inner = self.inner.lock();
        let of = |(namespace, partition, _): &&Place| *namespace == asked.namespace && *partition == asked.partition;
        let mut places: Vec<_> = inner.records.keys().filter(of).collect();
        places.sort();
        let records = places.into_iter().map(|place| inner.records[place].clone()).collect();
        Ok(Response::new(pb::ListResponse { records, next_page_token: String::new() }))
    }

    async fn raise_fence(&self, _: Request<pb::RaiseFenceRequest>) -> Result<Response<pb::RaiseFenceResponse>, Status> {
        Err(unused())
    }
}

fn unused() -> Status {
    Status::unimplemented("not part of the stand-in")
}
