//! A stand-in for the state service: versions, write ids and fences as the contract says, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use holdfast_proto::state::v1::precondition::Precondition as Must;
use holdfast_proto::state::v1::state_service_server::{StateService, StateServiceServer};
use holdfast_proto::state::v1::*;
use holdfast_rpc::lease::{FenceScope, LeaseToken};
use holdfast_rpc::{Caller, Error};
use tonic::{Request, Response, Status};

#[derive(Default)]
struct Inner {
    records: HashMap<(String, Address2), Kept>,
    fences: HashMap<(String, FenceScope), (u64, String)>,
    answers: HashMap<String, u64>,
}

type Address2 = (String, String, String);

#[derive(Clone)]
struct Kept {
    value: Value,
    revision: u64,
}

#[derive(Clone, Default)]
pub(crate) struct StandIn {
    inner: Arc<Mutex<Inner>>,
}

impl StandIn {
    pub(crate) fn service(&self) -> StateServiceServer<Self> {
        StateServiceServer::new(self.clone())
    }
}

impl Inner {
    fn fence(&mut self, lease: &LeaseToken) -> Result<u64, Error> {
        let scope = (lease.tenant.clone(), lease.scope());
        let held = self.fences.entry(scope).or_insert_with(|| (lease.fence, lease.lease_id.clone()));
        if lease.fence > held.0 {
            *held = (lease.fence, lease.lease_id.clone());
        }
        if *held == (lease.fence, lease.lease_id.clone()) {
            Ok(lease.fence)
        } else {
            Err(Error::precondition("FENCED", "a newer lease is registered"))
        }
    }

    fn put(&mut self, tenant: &str, put: PutRequest) -> Result<u64, Error> {
        if let Some(first) = self.answers.get(&put.write_id) {
            return Ok(*first);
        }
        let address = place(put.address.as_ref())?;
        let current = self.records.get(&(tenant.to_owned(), address.clone())).cloned();
        let held = current.as_ref().map(|kept| kept.revision);
        let wanted = match put.precondition.and_then(|must| must.precondition) {
            None => None,
            Some(Must::Version(version)) => Some(u64::from_be_bytes(version.as_ref().try_into().unwrap_or_default())),
            Some(Must::Overwrite(_)) => held,
        };
        if wanted != held {
            let current = current.map(|kept| record(&address, kept));
            return Err(Error::aborted("it has moved on", &Conflict { current, ..Conflict::default() }));
        }
        let revision = held.unwrap_or(0) + 1;
        let value = put.value.ok_or_else(|| Error::invalid("value", "is missing"))?;
        self.records.insert((tenant.to_owned(), address), Kept { value, revision });
        self.answers.insert(put.write_id, revision);
        Ok(revision)
    }
}

fn place(address: Option<&Address>) -> Result<Address2, Error> {
    let address = address.ok_or_else(|| Error::invalid("address", "is missing"))?;
    Ok((address.namespace.clone(), address.partition.clone(), address.key.clone()))
}

fn record(address: &Address2, kept: Kept) -> Record {
    let (namespace, partition, key) = address.clone();
    Record {
        address: Some(Address { namespace, partition, key }),
        value: Some(kept.value),
        version: version(kept.revision),
        revision: kept.revision,
        writer: None,
    }
}

fn version(revision: u64) -> bytes::Bytes {
    revision.to_be_bytes().to_vec().into()
}

#[tonic::async_trait]
impl StateService for StandIn {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let tenant = Caller::of(&request).tenant()?.to_owned();
        let address = place(request.get_ref().address.as_ref())?;
        let inner = self.inner.lock().expect("no panic");
        let kept = inner.records.get(&(tenant, address.clone())).cloned();
        let record = record(&address, kept.ok_or_else(|| Error::not_found("record"))?);
        Ok(Response::new(GetResponse { record: Some(record) }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let mut inner = self.inner.lock().expect("no panic");
        if let Some(lease) = &caller.lease {
            inner.fence(lease)?;
        }
        let revision = inner.put(caller.tenant()?, request.into_inner())?;
        let durability = Durability::Durable.into();
        Ok(Response::new(PutResponse { version: version(revision), revision, durability }))
    }

    async fn register_fence(
        &self,
        request: Request<RegisterFenceRequest>,
    ) -> Result<Response<RegisterFenceResponse>, Status> {
        let lease = Caller::of(&request).lease.clone().ok_or_else(|| Error::precondition("LEASE_REQUIRED", "none"))?;
        let fence = self.inner.lock().expect("no panic").fence(&lease)?;
        Ok(Response::new(RegisterFenceResponse { fence }))
    }

    async fn batch_get(&self, _: Request<BatchGetRequest>) -> Result<Response<BatchGetResponse>, Status> {
        Err(Status::unimplemented("the stand-in does not need it"))
    }

    async fn batch_put(&self, _: Request<BatchPutRequest>) -> Result<Response<BatchPutResponse>, Status> {
        Err(Status::unimplemented("the stand-in does not need it"))
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        Err(Status::unimplemented("the stand-in does not need it"))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Err(Status::unimplemented("the stand-in does not need it"))
    }

    async fn raise_fence(&self, _: Request<RaiseFenceRequest>) -> Result<Response<RaiseFenceResponse>, Status> {
        Err(Status::unimplemented("the stand-in does not need it"))
    }
}
