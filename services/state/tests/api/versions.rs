use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::*;

const WEEK_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;

#[tokio::test]
async fn a_write_follows_from_what_was_read() {
    let state = Harness::start().await;
    state.make("k", "1").await;
    let read = state.get("k").await.unwrap();
    assert_eq!((data(&read).as_str(), read.revision), ("1", 1));
    let written = state.put(put("k", "2", Some(&read.version))).await.unwrap();
    assert_eq!((written.revision, written.durability()), (2, pb::Durability::Durable));
    let read = state.get("k").await.unwrap();
    assert_eq!((data(&read).as_str(), &read.version), ("2", &written.version));
    assert_eq!(read.value.unwrap().content_type, "text/plain");
}

#[tokio::test]
async fn a_conflict_shows_the_record_and_who_wrote_since() {
    let state = Harness::start().await;
    let first = state.make("k", "1").await;
    let mut at = first.clone();
    for n in 2..=4 {
        at = state.put(with_id(put("k", &n.to_string(), Some(&at)), n)).await.unwrap().version.into();
    }
    let late = state.put(put("k", "late", Some(&first))).await.unwrap_err();
    let conflict = conflict(&late);
    let current = conflict.current.unwrap();
    assert_eq!((data(&current).as_str(), &current.version[..]), ("4", &at[..]));
    let since: Vec<_> = conflict.writers_since.iter().map(|writer| writer.write_id.clone()).collect();
    assert_eq!(since, [4, 3, 2].map(|n: u128| uuid::Uuid::from_u128(n).to_string()));
    assert!(!conflict.may_have_happened && !status::may_have_happened(&late));

    let third = state.get("k").await.unwrap().version;
    state.put(with_id(put("k", "5", Some(&third)), 5)).await.unwrap();
    let just_late = crate::harness::conflict(&state.put(put("k", "late", Some(&third))).await.unwrap_err());
    assert_eq!(just_late.writers_since.len(), 1);

    let exists = state.put(put("k", "anew", None)).await.unwrap_err();
    assert_eq!(crate::harness::conflict(&exists).writers_since.len(), 5);
}

#[tokio::test]
async fn a_version_of_a_lost_write_is_a_loss_and_never_an_overwrite() {
    let state = Harness::in_files().await;
    let kept = state.put(cached(put("k", "kept", None))).await.unwrap();
    assert_eq!(kept.durability(), pb::Durability::Durable, "the first one waits for the mark");
    state.gate.hold();
    let lost = state.put(cached(put("k", "lost", Some(&kept.version)))).await.unwrap();
    assert_eq!(lost.durability(), pb::Durability::Cached);
    assert_eq!(data(&state.get("k").await.unwrap()), "lost", "visible at once");

    let state = state.crash().await;
    assert_eq!(data(&state.get("k").await.unwrap()), "kept");
    let told = loss(&state.put(put("k", "next", Some(&lost.version))).await.unwrap_err());
    assert_eq!(data(&told.current.unwrap()), "kept");
    assert_ne!(told.presented, told.held);

    // A plain counter would be used again now: the second write after the crash has the lost one's number.
    let next = state.put(put("k", "next", Some(&kept.version))).await.unwrap();
    assert_eq!(next.revision, lost.revision);
    loss(&state.put(put("k", "again", Some(&lost.version))).await.unwrap_err());
    conflict(&state.put(put("k", "again", Some(&kept.version))).await.unwrap_err());

    // A week later, lost is as good as stale.
    state.upkeep_later(WEEK_MICROS + 1_000_000).await;
    conflict(&state.put(put("k", "again", Some(&lost.version))).await.unwrap_err());
    let later = state.put(put("k", "later", Some(&next.version))).await.unwrap();
    assert_eq!(later.revision, 3);
}

#[tokio::test]
async fn a_record_that_was_lost_as_a_whole_is_a_loss_too() {
    let state = Harness::in_files().await;
    state.put(cached(put("other", "marks the shard", None))).await.unwrap();
    state.gate.hold();
    let lost = state.put(cached(put("k", "lost", None))).await.unwrap();
    let state = state.crash().await;
    assert_eq!(state.get("k").await.unwrap_err().code(), Code::NotFound);
    let told = loss(&state.put(put("k", "next", Some(&lost.version))).await.unwrap_err());
    assert!(told.current.unwrap().value.is_none());
    state.put(put("k", "made anew", None)).await.unwrap();
    loss(&state.put(put("k", "next", Some(&lost.version))).await.unwrap_err());
}

#[tokio::test]
async fn the_version_of_another_record_is_refused_by_its_field() {
    let state = Harness::start().await;
    let other = state.make("other", "1").await;
    state.make("k", "1").await;
    for bad in [&other[..], b"nonsense", b""] {
        let refused = state.put(put("k", "2", Some(bad))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(status::field(&refused).as_deref(), Some("precondition.version"));
    }
}

#[tokio::test]
async fn a_deleted_record_is_made_anew_under_new_versions() {
    let state = Harness::start().await;
    let first = state.make("k", "1").await;
    let delete = |read: &[u8]| pb::DeleteRequest {
        address: Some(address("k")),
        precondition: version(read),
        ..pb::DeleteRequest::default()
    };
    state.delete(delete(&first)).await.unwrap();
    assert_eq!(state.get("k").await.unwrap_err().code(), Code::NotFound);
    let told = conflict(&state.put(put("k", "2", Some(&first))).await.unwrap_err());
    let gone = told.current.unwrap();
    assert!(gone.value.is_none());
    assert_eq!(state.delete(delete(&gone.version)).await.unwrap_err().code(), Code::NotFound);
    let anew = state.put(put("k", "2", None)).await.unwrap();
    assert_eq!(anew.revision, 3);
    conflict(&state.delete(delete(&first)).await.unwrap_err());
    conflict(&state.delete(delete(&gone.version)).await.unwrap_err());
    state.delete(delete(&anew.version)).await.unwrap();
}

#[tokio::test]
async fn a_delete_without_a_version_is_refused() {
    let state = Harness::start().await;
    let delete = pb::DeleteRequest { address: Some(address("k")), ..pb::DeleteRequest::default() };
    let refused = state.delete(delete.clone()).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("precondition"));
    let blind = pb::DeleteRequest { precondition: overwrite(), ..delete };
    assert_eq!(state.delete(blind.clone()).await.unwrap_err().code(), Code::NotFound);
    state.make("k", "1").await;
    state.delete(blind).await.unwrap();
}

#[tokio::test]
async fn a_conflict_over_a_large_record_fits_into_an_error() {
    let state = Harness::start().await;
    let large = "x".repeat(500_000);
    let first = state.make("k", &large).await;
    let mut at = first.clone();
    for _ in 0..60 {
        at = state.put(put("k", &large, Some(&at))).await.unwrap().version.into();
    }
    let late = state.put(put("k", "late", Some(&first))).await.unwrap_err();
    let told = conflict(&late);
    assert!(late.details().len() <= 6_000, "common clients take 8 KiB of metadata: {}", late.details().len());
    let current = told.current.unwrap();
    assert!(current.value.is_none() && current.value_omitted, "what is left out is told apart from what is not there");
    assert_eq!(current.version, at);
    assert!(told.writers_since.len() > 20, "the newest writers fit: {}", told.writers_since.len());
}
