-- What backfills have moved, newest first, of one source: what a forecast learns its rate from. Not the slices of passes,
-- which come by the minute and have a note.
SET LOCAL statement_timeout = 0;
CREATE INDEX slices_moved ON slices (source, seq) WHERE state = 'verified' AND note = '' AND run_id <> '';
