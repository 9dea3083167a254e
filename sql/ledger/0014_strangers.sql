-- Ids of the first points that a look found differing, a JSON array: whose rows nobody moved is said by no other table.
ALTER TABLE recounts ADD COLUMN points json NOT NULL DEFAULT '[]';
