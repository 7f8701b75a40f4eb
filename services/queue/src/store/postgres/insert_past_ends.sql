INSERT INTO past_ends (
    id, at, started_at, event, fence, leased_at, lease_event, input_tokens, output_tokens, redriven_at, state, attempt,
    lost, retryable, lease, stream, redrive, worker, reason, message
)
SELECT id, at, started_at, event, fence, leased_at, lease_event, input_tokens, output_tokens, redriven_at, state, attempt,
    lost, retryable, lease, stream, redrive, worker, reason, message
FROM moved
