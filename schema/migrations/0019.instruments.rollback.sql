DROP INDEX payments_by_instrument;
