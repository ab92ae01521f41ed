DROP TABLE figure_places;
DROP TABLE figures;
