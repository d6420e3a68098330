-- Version 1: the copy of sales, one for each sale.

-- The versions of these tables that were applied.
CREATE TABLE relay_schema (
    version    integer     PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- How far each copy is. A page and its cursor are one transaction, which locks this row first.
CREATE TABLE cursor (
    sale       text        PRIMARY KEY,
    reader     text        NOT NULL,               -- `--name` of the relay
    cursor     text        NOT NULL,               -- of the last change that is here
    fence      bigint      NOT NULL,               -- of the relay that wrote last; a lower one is refused
    generation integer     NOT NULL DEFAULT 0,     -- how many forks there were
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Every change, as the journal has it.
CREATE TABLE changes (
    sale         text        NOT NULL,
    sequence     bigint      NOT NULL,             -- of the ledger; grows by one
    place        integer     NOT NULL,             -- among the reservations of that sequence, from 1
    generation   integer     NOT NULL,             -- forks before it
    kind         text        NOT NULL,             -- reserve, amend, confirm, cancel, expire, define, restock, …
    at           timestamptz NOT NULL,
    reservation  text,                             -- null: a change of the sale
    cursor       text        NOT NULL,
    line         jsonb       NOT NULL,             -- the whole line
    rescinded_at timestamptz,                      -- the ledger has lost it, as this transaction found out
    PRIMARY KEY (sale, sequence, place, generation)
);

CREATE INDEX changes_of_reservation ON changes (sale, reservation, sequence, place) WHERE reservation IS NOT NULL;

-- Every reservation in its latest state.
CREATE TABLE reservations (
    sale        text        NOT NULL,
    reservation text        NOT NULL,              -- its id
    buyer       text        NOT NULL,
    number      bigint      NOT NULL,
    version     bigint      NOT NULL,
    state       text        NOT NULL,              -- held, confirmed, cancelled, expired
    model       text        NOT NULL,
    packages    text[]      NOT NULL,
    store       text,
    unavailable text[]      NOT NULL,
    payment     text,
    currency    text        NOT NULL,
    total       bigint      NOT NULL,              -- prices are in minor units
    deposit     bigint      NOT NULL,
    balance     bigint      NOT NULL,
    price_lines jsonb       NOT NULL,              -- [{"item": …, "amount": …}, …]
    held_at     timestamptz NOT NULL,
    expires_at  timestamptz,                       -- of a hold: when it ends, by the clocks of the change
    changed_at  timestamptz NOT NULL,
    sequence    bigint      NOT NULL,              -- of its latest change in `changes`
    place       integer     NOT NULL,
    PRIMARY KEY (sale, reservation)
);

CREATE INDEX reservations_of_buyer ON reservations (sale, buyer);
CREATE INDEX reservations_by_change ON reservations (sale, sequence, place);
