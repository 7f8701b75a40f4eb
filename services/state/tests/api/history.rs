use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{client::for_tenant, status};
use tonic::{Code, Request, Response, Status};

use crate::harness::*;

fn page(key: &str, page_size: u32, page_token: &str) -> pb::HistoryRequest {
    pb::HistoryRequest { address: Some(address(key)), page_size, page_token: page_token.into() }
}

async fn history(state: &Harness, request: pb::HistoryRequest) -> Result<pb::HistoryResponse, Status> {
    let request = for_tenant(Request::new(request), "acme")?;
    state.client.clone().history(request).await.map(Response::into_inner)
}

async fn get_at(state: &Harness, key: &str, version: &[u8]) -> Result<pb::Record, Status> {
    let get = pb::GetRequest {
        address: Some(address(key)),
        at_version: version.to_vec().into(),
        ..pb::GetRequest::default()
    };
    let answer = state.client.clone().get(for_tenant(Request::new(get), "acme")?).await?;
    Ok(answer.into_inner().record.expect("a record"))
}

fn revisions(response: &pb::HistoryResponse) -> Vec<u64> {
    response.editions.iter().map(|edition| edition.record.as_ref().expect("filled").revision).collect()
}

/// Writes a record so many times, and returns its versions in order.
async fn write(state: &Harness, key: &str, times: u64) -> Vec<Vec<u8>> {
    let mut versions = vec![state.make(key, "1").await];
    for n in 2..=times {
        let put = put(key, &n.to_string(), versions.last().map(Vec::as_slice));
        versions.push(state.put(put).await.expect("it is current").version.into());
    }
    versions
}

#[tokio::test]
async fn a_history_goes_back_page_by_page_without_gap_or_repeat() {
    let state = Harness::start().await;
    let interleaved = async {
        for n in 0..25 {
            state.make(&format!("other-{n}"), "x").await;
        }
    };
    tokio::join!(write(&state, "k", 25), interleaved);
    let (mut token, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = history(&state, page("k", 10, &token)).await.unwrap();
        seen.extend(revisions(&page));
        pages += 1;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    assert_eq!(pages, 3);
    let whole = history(&state, page("k", 25, "")).await.unwrap();
    assert_eq!(
        (revisions(&whole).len(), whole.next_page_token.as_str()),
        (25, ""),
        "a page that holds all is the last"
    );
}

#[tokio::test]
async fn a_history_says_who_did_what() {
    let state = Harness::start().await;
    let token = lease(holdfast_rpc::time::now_micros().cast_unsigned(), "a");
    let first = state.put_under(&token, with_id(put("k", "1", None), 7)).await.unwrap();
    state.put(pb::PutRequest { precondition: overwrite(), ..put("k", "2", None) }).await.unwrap();
    let gone = pb::DeleteRequest { address: Some(address("k")), precondition: overwrite(), ..Default::default() };
    state.delete(gone).await.unwrap();

    let told = history(&state, page("k", 0, "")).await.unwrap().editions;
    let flags: Vec<_> = told.iter().map(|edition| (edition.deleted, edition.overwrote)).collect();
    assert_eq!(flags, [(true, true), (false, true), (false, false)]);
    assert!(told[0].record.as_ref().unwrap().value.is_none());
    let made = told[2].record.as_ref().unwrap();
    assert_eq!((data(made).as_str(), &made.version), ("1", &first.version));
    let writer = made.writer.as_ref().unwrap();
    assert_eq!(writer.write_id, uuid::Uuid::from_u128(7).to_string());
    assert_eq!(writer.invocation_id, "inv-1");
    assert!(writer.time.is_some());
}

#[tokio::test]
async fn a_history_shows_every_write_acknowledged_before_it() {
    let state = Harness::start().await;
    let mut at = state.put(cached(put("k", "0", None))).await.unwrap().version;
    for n in 1..30 {
        at = state.put(cached(put("k", &n.to_string(), Some(&at)))).await.unwrap().version;
        let newest = history(&state, page("k", 1, "")).await.unwrap().editions.remove(0).record.unwrap();
        assert_eq!((newest.version, newest.revision), (at.clone(), n + 1));
    }
}

#[tokio::test]
async fn a_page_of_a_history_is_bounded_in_bytes() {
    let state = Harness::start().await;
    let large = "x".repeat(900 << 10);
    let mut at = state.make("k", &large).await;
    for _ in 0..3 {
        at = state.put(put("k", &large, Some(&at))).await.unwrap().version.into();
    }
    let first = history(&state, page("k", 0, "")).await.unwrap();
    assert_eq!(revisions(&first), [4, 3, 2]);
    let last = history(&state, page("k", 0, &first.next_page_token)).await.unwrap();
    assert_eq!((revisions(&last), last.next_page_token.as_str()), (vec![1], ""));
}

#[tokio::test]
async fn a_record_is_read_as_it_was_at_each_of_its_versions() {
    let state = Harness::start().await;
    let versions = write(&state, "k", 5).await;
    for (place, version) in versions.iter().enumerate() {
        let record = get_at(&state, "k", version).await.unwrap();
        assert_eq!(data(&record), (place + 1).to_string());
        assert_eq!((record.version.as_ref(), record.revision), (version.as_slice(), place as u64 + 1));
    }
    let of_another = state.make("other", "1").await;
    let refused = get_at(&state, "k", &of_another).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("at_version"), "a version is bound to its record");
    let both = pb::GetRequest {
        address: Some(address("k")),
        at_version: versions[0].clone().into(),
        max_staleness: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
    };
    let refused = state.client.clone().get(for_tenant(Request::new(both), "acme").unwrap()).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("max_staleness"), "what was does not grow older");
}

#[tokio::test]
async fn there_is_no_record_at_a_version_that_deleted_it_or_is_forgotten() {
    let state = Harness::start().await;
    let first = state.make("k", "1").await;
    let gone = pb::DeleteRequest { address: Some(address("k")), precondition: version(&first), ..Default::default() };
    state.delete(gone).await.unwrap();
    let tombstone = conflict(&state.put(put("k", "2", Some(&first))).await.unwrap_err()).current.unwrap();
    assert_eq!(get_at(&state, "k", &tombstone.version).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(data(&get_at(&state, "k", &first).await.unwrap()), "1", "what was deleted was once");
}

#[tokio::test]
async fn a_history_is_its_tenants() {
    let state = Harness::start().await;
    write(&state, "k", 3).await;
    let request = for_tenant(Request::new(page("k", 0, "")), "other").unwrap();
    let foreign = state.client.clone().history(request).await.unwrap().into_inner();
    assert!(foreign.editions.is_empty() && foreign.next_page_token.is_empty());
}

#[tokio::test]
async fn a_bad_page_of_a_history_names_its_field() {
    let state = Harness::start().await;
    for (bad, field) in [
        (pb::HistoryRequest { address: None, ..page("k", 0, "") }, "address"),
        (page("", 0, ""), "address.key"),
        (page("k", 1_001, ""), "page_size"),
        (page("k", 0, "k24"), "page_token"),
        (page("k", 0, "-1"), "page_token"),
    ] {
        let refused = history(&state, bad).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
    let far = history(&state, page("k", 0, &u64::MAX.to_string())).await.unwrap();
    assert!(far.editions.is_empty(), "nothing is there, and nothing is before it");
}
