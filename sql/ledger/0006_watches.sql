-- How far a source's change feed was read, by point group: a place to read on from, not history, so it is replaced.
CREATE TABLE watches (
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    since_ns bigint NOT NULL,  -- told without a hole since then; by the plant's clock
    read_ns bigint NOT NULL,
    markers jsonb NOT NULL,  -- by point
    PRIMARY KEY (source, point_group)
);
