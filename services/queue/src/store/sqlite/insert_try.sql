INSERT INTO tries (
    seq, event, attempt, lease, fence, worker, stream, leased_at, lease_event, ended_at, kind, became, next_at, reason,
    message, retryable
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
