DROP TABLE work_tally;
DROP TABLE dispatchers;
