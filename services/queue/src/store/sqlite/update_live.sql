UPDATE live SET
    state = ?2, attempt = ?3, lost = ?4, events = ?5, fence = ?6, loose_fence = ?7, tries = ?8, started_at = ?9,
    next_at = ?10, lease = ?11, worker = ?12, stream = ?13, leased_at = ?14, lease_event = ?15
WHERE id = ?1
