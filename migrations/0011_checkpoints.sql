-- Folds of long runs at many of their versions, for whoever looks at one. All of it may be lost.

CREATE TABLE work.checkpointed (
    stream  text        COLLATE "C" NOT NULL,
    format  int         NOT NULL,  -- of all that is kept of the stream: each program reads its own
    used_at timestamptz NOT NULL DEFAULT now(),  -- to the day
    PRIMARY KEY (stream, format)
);

CREATE INDEX checkpointed_used ON work.checkpointed (used_at);

CREATE TABLE work.checkpoints (
    stream   text   COLLATE "C" NOT NULL,
    format   int    NOT NULL,
    version  bigint NOT NULL,  -- of the last event folded
    base     bigint NOT NULL,  -- the version of the checkpoint before this one, 0 for none
    state    bytea  NOT NULL,
    checksum bytea  NOT NULL,  -- of the whole row
    PRIMARY KEY (stream, format, version),
    -- Those of a stream are one chain, however many readers write them.
    UNIQUE (stream, format, base),
    FOREIGN KEY (stream, format) REFERENCES work.checkpointed ON DELETE CASCADE
);

CREATE TABLE work.checkpoint_parts (
    stream   text   COLLATE "C" NOT NULL,
    format   int    NOT NULL,
    kind     text   COLLATE "C" NOT NULL,
    block    int    NOT NULL,
    version  bigint NOT NULL,  -- of the checkpoint that it belongs to
    content  bytea  NOT NULL,
    checksum bytea  NOT NULL,
    PRIMARY KEY (stream, format, kind, block, version),
    FOREIGN KEY (stream, format) REFERENCES work.checkpointed ON DELETE CASCADE
);

ALTER TABLE work.checkpoints ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE work.checkpoint_parts ALTER COLUMN content SET STORAGE EXTERNAL;

COMMENT ON TABLE work.checkpointed IS 'Runs that somebody looked at of late. A cache, with the two below.';
COMMENT ON TABLE work.checkpoints IS 'What was left to do in a run at a version of its stream.';
COMMENT ON TABLE work.checkpoint_parts IS 'What had finished since the checkpoint before.';

GRANT SELECT, INSERT, UPDATE, DELETE ON work.checkpointed TO evergraph_app;
GRANT SELECT, INSERT, DELETE ON work.checkpoints, work.checkpoint_parts TO evergraph_app;
