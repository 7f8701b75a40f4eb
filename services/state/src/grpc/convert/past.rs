//! What records were, between the wire and the domain.

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::Error;

use super::{PAGE_BYTES, address, page_size, record};
use crate::{
    domain::{Address, Edition, Seq, Vector},
    store::HistoryQuery,
};

/// The version at which a record is to be read; `None` where it is wanted as it stands.
pub(in crate::grpc) fn at_version(request: &pb::GetRequest, address: &Address) -> Result<Option<Vector>, Error> {
    if request.at_version.is_empty() {
        return Ok(None);
    }
    if request.max_staleness.is_some() {
        return Err(Error::invalid("max_staleness", "does not go with at_version: what was does not grow older"));
    }
    Vector::from_version(&request.at_version, address.tag())
        .map(Some)
        .map_err(|bad| Error::invalid("at_version", bad.to_string()))
}

/// One edition more than the page has is asked for: it says whether there is another page.
pub(in crate::grpc) fn history_query(tenant: &str, request: &pb::HistoryRequest) -> Result<HistoryQuery, Error> {
    let before = match request.page_token.as_str() {
        "" => None,
        token => {
            let place: Result<Seq, _> = token.parse();
            Some(place.map_err(|_| Error::invalid("page_token", "is none of this service's"))?)
        }
    };
    Ok(HistoryQuery {
        address: address(tenant, request.address.as_ref(), "address")?,
        before,
        editions: page_size(request.page_size)? + 1,
        bytes: PAGE_BYTES,
    })
}

pub(in crate::grpc) fn history(query: &HistoryQuery, editions: &[impl AsRef<Edition>]) -> pb::HistoryResponse {
    let most = query.editions - 1;
    let page = &editions[..editions.len().min(most)];
    let last = page.last().map(AsRef::as_ref);
    // A page that is full in bytes ends early, and only a record's first write has none before it.
    let full =
        editions.len() > most || page.iter().map(|edition| edition.as_ref().bytes()).sum::<usize>() >= query.bytes;
    let next = last.filter(|edition| full && edition.previous != 0);
    pb::HistoryResponse {
        editions: page.iter().map(|one| edition(&query.address, one.as_ref())).collect(),
        next_page_token: next.map(|edition| edition.seq.to_string()).unwrap_or_default(),
    }
}

pub(in crate::grpc) fn edition(address: &Address, edition: &Edition) -> pb::Edition {
    pb::Edition { record: Some(record(address, edition)), deleted: !edition.is_live(), overwrote: edition.blind }
}
