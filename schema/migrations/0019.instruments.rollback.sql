DROP FUNCTION payments_of_instrument(smallint, text, text, text, text, text);
DROP INDEX payments_by_instrument;
