"""The audit of a data set: what is wrong with files, classes, copies and labels."""
