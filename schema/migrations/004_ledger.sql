-- Which records of which spool are committed: written in the transaction of their rows, read after
-- a crash. Positions count messages of the spool, not rows.
CREATE TABLE public.ingest_ledger (
  spool_id     uuid NOT NULL,
  first_seq    bigint NOT NULL,
  last_seq     bigint NOT NULL,
  messages     integer NOT NULL,
  rows         integer NOT NULL,
  quarantined  integer NOT NULL,
  damaged      integer NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (spool_id, first_seq),
  CHECK (last_seq >= first_seq)
);
