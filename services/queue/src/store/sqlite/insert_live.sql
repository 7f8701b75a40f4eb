INSERT INTO live (
    id, seq, session, session_order, state, attempt, lost, events, fence, loose_fence, tries, started_at, next_at, lease,
    worker, stream, leased_at, lease_event, deadline, redrives
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
