INSERT INTO ended (
    seq, state, at, attempt, lost, event, started_at, lease, fence, worker, stream, leased_at, lease_event, input_tokens,
    output_tokens, reason, message, retryable, content_type, result
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
