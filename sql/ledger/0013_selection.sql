-- Which points the plant file asked for when a source was last asked for them: what is moved under another choice lacks some,
-- or nobody knows yet that it does. Null before this was kept.
ALTER TABLE discoveries ADD COLUMN selection text;
