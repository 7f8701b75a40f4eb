-- A claim must see the deadline, so it stands where claims look.
ALTER TABLE live ADD COLUMN deadline INTEGER;
UPDATE live SET deadline = (SELECT deadline FROM invocations WHERE invocations.seq = live.seq);
