DROP TABLE simulator.movements;
DROP TABLE simulator.charges;
DROP SCHEMA simulator;
