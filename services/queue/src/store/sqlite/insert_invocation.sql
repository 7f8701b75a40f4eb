INSERT INTO invocations (
    id, tenant, agent, session, idempotency_key, priority, not_before, deadline, retry, labels, parent, traceparent,
    accepted_at, content_type, bytes, payload
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
