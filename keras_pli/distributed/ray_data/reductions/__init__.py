"""What a whole data set says: means of maps, mean curves and randomisation tests, reduced by a cluster."""
