"""From FASTA files and a pair table to checked, cleaned tables; reads no configuration but in `prepare`."""
