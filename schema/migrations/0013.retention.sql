-- Where histories begin: what is older was dropped, day by day, when it was past its retention (schema/partitions.py).
-- A row for each history from which something was dropped; nobody's merchant.
CREATE TABLE histories (
    name       text COLLATE "C" PRIMARY KEY,
    kept_from  timestamptz NOT NULL,            -- everything from that time on is there,
    first_id   text COLLATE "C" NOT NULL,       -- which is from that id on
    CONSTRAINT histories_name CHECK (name IN ('events', 'delivery_attempts'))
);
GRANT SELECT ON histories TO ledgate_api, ledgate_dispatcher;
